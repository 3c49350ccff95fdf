package pgcatalog_test

import (
	"math"
	"os"
	"time"
)

// long returns how many statements a differential test takes, and for how long at
// most: what GATESTAY_DIFFERENTIAL says, a duration, and as many as go into it, in
// place of a test's own measure.
func long(seeds uint64, most time.Duration) (uint64, time.Duration) {
	if d, err := time.ParseDuration(os.Getenv("GATESTAY_DIFFERENTIAL")); err == nil {
		return math.MaxUint64, d
	}
	return seeds, most
}
