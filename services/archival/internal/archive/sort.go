package archive

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/gatestay/gatestay/services/archival/internal/intake"
	"github.com/gatestay/gatestay/services/archival/internal/order"
)

// take sorts in an item and whatever else has arrived: the store is asked about
// many at once.
func (w *Writer) take(ctx context.Context, first *intake.Item, items <-chan *intake.Item) {
	w.offer(first)
	for range lookup {
		select {
		case i, ok := <-items:
			if !ok {
				break
			}
			w.offer(i)
			continue
		default:
		}
		break
	}
	w.resolve(ctx)
}

// offer decides by what is known without asking the store.
func (w *Writer) offer(i *intake.Item) {
	switch {
	case !i.InChain(), !w.sequencer.Known(i.Chain()):
		w.unsure = append(w.unsure, i)
	default:
		ready, verdict := w.sequencer.Offer(i, w.Now())
		switch verdict {
		case order.Ready:
			w.add(ready)
		case order.Stale:
			w.stale = append(w.stale, i)
		case order.Conflicts:
			i.Conflicts()
			w.unsure = append(w.unsure, i)
		case order.InFlight:
			w.Report.Duplicate()
		case order.Waits:
		}
	}
	for _, shed := range w.sequencer.Shed(w.Limits.HeldBytes, w.Limits.HeldCount) {
		w.nak(shed, shedDelay)
	}
}

const shedDelay = 10 * time.Second

// resolve asks the store about what offer could not decide.
func (w *Writer) resolve(ctx context.Context) {
	for len(w.unsure)+len(w.stale) > 0 {
		unsure, stale := w.unsure, w.stale
		w.unsure, w.stale = nil, nil
		err := w.learn(ctx, unsure)
		if err == nil {
			err = w.compare(ctx, stale)
		}
		if err != nil { // ctx ended; they are given back
			w.unsure, w.stale = append(w.unsure, unsure...), append(w.stale, stale...)
			return
		}
		for _, i := range unsure {
			if i.InChain() {
				w.offer(i)
			}
		}
	}
}

// learn gets the marks of unknown chains, and sorts in what stands apart.
func (w *Writer) learn(ctx context.Context, items []*intake.Item) error {
	unknown, apart := map[intake.Chain]bool{}, map[intake.ID]*intake.Item{}
	for _, i := range items {
		if i.InChain() {
			unknown[i.Chain()] = true
			continue
		}
		if held := cmp.Or(w.apart[i.ID()], apart[i.ID()]); held != nil {
			held.Join(i)
			w.Report.Duplicate()
			continue
		}
		apart[i.ID()] = i
	}
	for chains := range slices.Chunk(slices.Collect(maps.Keys(unknown)), lookup) {
		var marks map[intake.Chain]order.Stored
		if err := w.retry(ctx, func(ctx context.Context) (err error) {
			marks, err = w.Store.Marks(ctx, chains)
			return err
		}); err != nil {
			return err
		}
		for _, c := range chains {
			w.sequencer.Learn(c, marks[c])
		}
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(apart)), lookup) {
		hashes, err := w.hashes(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, there := hashes[id]; there {
				w.ack(apart[id])
				continue
			}
			w.flag(apart[id])
		}
	}
	return nil
}

// compare acknowledges what is stored already, and sets apart what merely has
// the number of something else.
func (w *Writer) compare(ctx context.Context, items []*intake.Item) error {
	for items := range slices.Chunk(items, lookup) {
		ids := make([]intake.ID, len(items))
		for n, i := range items {
			ids[n] = i.ID()
		}
		hashes, err := w.hashes(ctx, ids)
		if err != nil {
			return err
		}
		for n, i := range items {
			w.Report.Duplicate()
			if bytes.Equal(hashes[ids[n]], i.Batch.Hash) {
				w.ack(i)
				continue
			}
			i.Conflicts()
			w.unsure = append(w.unsure, i)
		}
	}
	return nil
}

func (w *Writer) hashes(ctx context.Context, ids []intake.ID) (hashes map[intake.ID][]byte, err error) {
	err = w.retry(ctx, func(ctx context.Context) (err error) {
		hashes, err = w.Store.Hashes(ctx, ids)
		return err
	})
	return hashes, err
}

// flag stores a batch apart, and says so.
func (w *Writer) flag(i *intake.Item) {
	c := i.Chain()
	if w.flagged[c] == nil {
		if len(w.flagged) >= maxFlagged {
			clear(w.flagged) // a flood of forgeries must not fill memory; a gap then just waits
		}
		w.flagged[c] = map[uint64]bool{}
	}
	if len(w.flagged[c]) < maxFlagged {
		w.flagged[c][i.Batch.Number] = true
	}
	w.apart[i.ID()] = i
	w.Report.Flagged(i)
	w.add([]*intake.Item{i})
}

const maxFlagged = 4096

// add puts items into the next group.
func (w *Writer) add(items []*intake.Item) {
	for _, i := range items {
		if i.Problem != "" && i.InChain() {
			w.Report.Odd(i)
		}
		if len(w.group.Items) == 0 {
			w.since = w.Now()
		}
		if has := w.orphans[i.ID()]; has != nil {
			if w.group.Has == nil {
				w.group.Has = map[intake.ID]map[int]bool{}
			}
			w.group.Has[i.ID()] = has
			delete(w.orphans, i.ID())
		}
		w.group.Items = append(w.group.Items, i)
		w.size += i.Size
	}
}
