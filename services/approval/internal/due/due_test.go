package due_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatestay/gatestay/services/approval/internal/due"
)

func TestWhatIsDueLongestComesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, began := due.New(time.Now), time.Now()
		ctx, stop := context.WithCancel(t.Context())
		var got []string
		go l.Run(ctx, func(_ context.Context, id string) {
			got = append(got, id+" "+time.Since(began).String())
			switch {
			case id == "c" && l.Failed(id) == 1:
				l.Retry(id, 10*time.Second)
				l.AddNew(id, time.Now()) // keeps its time
			case id == "d":
				l.Done(id, 0)
			case id == "e":
				l.Pause(time.Minute)
			default:
				l.Done(id, 0)
			}
		})
		l.Add("b", began.Add(2*time.Second))
		l.Add("c", began.Add(time.Second))
		l.Add("a", began.Add(2*time.Second))
		l.Add("d", began.Add(time.Hour))
		l.Add("d", began.Add(3*time.Second)) // the earlier one counts
		l.Add("d", began.Add(2*time.Hour))
		if l.Len() != 4 {
			t.Error(l.Len())
		}
		time.Sleep(20 * time.Second)
		l.Add("e", time.Now())
		time.Sleep(time.Second)
		l.Add("f", time.Now())
		time.Sleep(2 * time.Minute)
		stop()
		synctest.Wait()
		if want := []string{"c 1s", "a 2s", "b 2s", "d 3s", "c 11s", "e 20s", "f 1m20s"}; !slices.Equal(got, want) {
			t.Errorf("%q\nnot %q", got, want)
		}
	})
}
