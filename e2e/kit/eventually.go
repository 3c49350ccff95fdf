package kit

import (
	"testing"
	"time"
)

// Eventually waits until condition returns nil, and fails the test with its last
// error at the deadline.
func Eventually(t testing.TB, within time.Duration, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for pause := 5 * time.Millisecond; ; pause = min(pause*2, 100*time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %v", within, err)
		}
		<-time.After(pause)
	}
}

// Never watches for a while that condition stays nil.
func Never(t testing.TB, during time.Duration, condition func() error) {
	t.Helper()
	for end := time.After(during); ; {
		if err := condition(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-end:
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
}
