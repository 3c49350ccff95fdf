// Package seamtest tests protocol adapters: a scripted Gate that allows, denies
// and holds as a test says and remembers what it was asked, and a conformance
// suite that every adapter has to pass.
package seamtest
