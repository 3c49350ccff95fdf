package postgres

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/copydata"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// run is one admitted command on its way through the target.
type run struct {
	permit seam.Permit
	// measured is set where it runs beside the session, and is measured.
	measured *measured
	facts    *command.Facts
	// known reports that the facts were read from a text that could be parsed.
	known    bool
	gives    *given             // a name
	copy     *pgfacts.Copy      // of a COPY whose data passes through here
	columns  []wire.Column      // of a COPY TO STDOUT, as the target described them
	unclear  string             // why they are not known
	taken    atomic.Int64       // bytes of COPY data, from the client
	incoming *copydata.Incoming // reads it; nil where nobody looks at it
	started  time.Time
	limit    int64 // of rows; 0 is none
	maxBytes int64 // bytes of the result, to the client; 0 is no limit
	sent     int64 // rows, to the client
	bytes    int64 // of the result, to the client
	rows     int64 // as the target counts
	released bool  // the intent record is durable
	took     time.Duration
	finished bool
	// undecided: it ended well, in an implicit transaction that has not ended yet.
	undecided bool
}

// most is how many more rows may pass at once: one, where each has to find room.
func (r *run) most() int {
	if r.maxBytes > 0 {
		return 1
	}
	if r.limit > 0 {
		return int(r.limit - r.sent)
	}
	return math.MaxInt
}

// release waits until the intent of a command is durable: nothing of its
// result may pass before.
func (r *run) release(ctx context.Context, flush func()) error {
	if r == nil || r.released {
		return nil
	}
	if !r.permit.DurableNow() {
		flush() // what came before is not held up
		if err := r.permit.Durable(ctx); err != nil {
			return err //nolint:wrapcheck // a refusal, for the client
		}
	}
	r.released = true
	return nil
}

// freeze takes the time of a command whose outcome is recorded later.
func (r *run) freeze() { r.took = time.Since(r.started) }

// finish records how a command ended, once.
func (r *run) finish(status, code, message string) {
	if r == nil || r.finished {
		return
	}
	r.finished = true
	if r.took == 0 {
		r.took = time.Since(r.started)
	}
	r.permit.Done(seam.Outcome{
		Status: status, Code: code, Message: message, Rows: r.rows, Bytes: r.bytes + r.taken.Load(), Duration: r.took,
	})
}

// Statuses of an outcome.
const (
	statusOK          = "ok"
	statusError       = "error"
	statusCancelled   = "cancelled"
	statusNotExecuted = "not_executed"
	statusUnknown     = "unknown"
)

// status of a command that ended with a condition.
func status(state string) string {
	if state == stateCancelled {
		return statusCancelled
	}
	return statusError
}

// reads reports that a command can have no lasting effect on the target.
func reads(c command.Class) bool { return c == command.Read || c == command.Session }
