package archive

import (
	"context"

	"github.com/gatestay/gatestay/services/archival/internal/order"
)

// watch looks after gaps and forgets idle chains.
func (w *Writer) watch(ctx context.Context) {
	now := w.Now()
	for _, g := range w.sequencer.Gaps(now, w.Limits.Patience) {
		switch {
		case w.accounted(g):
			w.Log.Warn().Str("producer", g.Chain.Producer).Str("incarnation", g.Chain.Incarnation).Uint64("from", g.Missing.From).Uint64("to", g.Missing.To).
				Msg("only a batch that does not verify came under these numbers; going on behind it")
			w.add(w.sequencer.Pass(g, now))
		case g.Nothing && w.expired(ctx):
			w.Report.Missing(g, true)
			w.add(w.sequencer.Pass(g, now))
		default:
			w.Report.Missing(g, false)
		}
	}
	w.sequencer.Evict(now.Add(-idle))
}

// accounted reports that a batch that does not verify came for every missing number.
func (w *Writer) accounted(g order.Gap) bool {
	seen := w.flagged[g.Chain]
	if g.Missing.To-g.Missing.From >= uint64(len(seen)) {
		return false
	}
	for n := g.Missing.From; n <= g.Missing.To; n++ {
		if !seen[n] {
			return false
		}
	}
	return true
}

func (w *Writer) expired(ctx context.Context) bool {
	expired, err := w.Expired(ctx)
	if err != nil {
		w.Log.Warn().Err(err).Msg("cannot ask the stream for its first message")
	}
	return expired
}
