package archive

import (
	"slices"
	"time"

	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/store"
)

// stored acknowledges a group.
func (w *Writer) stored(g *store.Group) {
	for _, i := range g.Items {
		if i.InChain() {
			w.sequencer.Done(i)
		} else {
			delete(w.apart, i.ID())
		}
		w.ack(i)
	}
	w.Report.Stored(g)
}

// settle takes in an insert that ended while ctx did.
func (w *Writer) settle(inserts *inserter) {
	select {
	case g := <-inserts.done:
		w.stored(g)
	default:
	}
}

// giveBack returns what is not stored to the stream at once, so that the next
// writer need not wait for it.
func (w *Writer) giveBack(items <-chan *intake.Item) {
	for i := range items {
		w.nak(i, 0)
	}
	for _, i := range slices.Concat(w.group.Items, w.unsure, w.stale, w.sequencer.Held()) {
		w.nak(i, 0)
	}
}

// keepAlive keeps the stream from delivering again what is held here.
func (w *Writer) keepAlive() {
	for _, i := range w.sequencer.Held() {
		if err := i.Message.InProgress(); err != nil {
			return // the bus is away; it delivers again
		}
	}
}

func (w *Writer) ack(i *intake.Item) {
	if err := i.Ack(); err != nil {
		w.Log.Debug().Err(err).Stringer("batch", i.ID()).Msg("not acknowledged; it comes again and is recognised")
	}
}

func (w *Writer) nak(i *intake.Item, delay time.Duration) {
	if err := i.Message.NakWithDelay(delay); err != nil {
		w.Log.Debug().Err(err).Stringer("batch", i.ID()).Msg("not given back; it comes again by itself")
	}
}
