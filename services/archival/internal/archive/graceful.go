package archive

import (
	"context"
	"errors"
	"time"

	"github.com/gatestay/gatestay/services/archival/internal/lease"
)

// graceful returns a context that outlives ctx by a moment, so that what runs
// may end in order. It ends at once where the lease was lost: another writer
// begins.
func graceful(ctx context.Context) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if errors.Is(context.Cause(ctx), lease.ErrLost) {
			cancel()
			return
		}
		time.AfterFunc(lastLimit, cancel)
	})
	return inner, func() { stop(); cancel() }
}
