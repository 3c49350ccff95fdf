//go:build race

package kit

// Race tells whether the test itself runs under the race detector.
const Race = true
