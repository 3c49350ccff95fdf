package masking

// replacer replaces what detectors find in texts.
type replacer struct {
	set      detectorSet
	strategy func(detector int) Strategy
	keys     *keys
}

// detect masks what the target's detectors find in the cells of a column.
func (e *Engine) detect(v *view, c ResultColumn) func([]byte) ([]byte, bool) {
	r := &replacer{set: v.detectors, strategy: func(i int) Strategy { return v.strategy[i] }, keys: e.keys}
	switch c.Kind {
	case KindJSON, KindJSONB:
		return func(value []byte) ([]byte, bool) { return r.json(c, value) }
	case KindBytes:
		return func(value []byte) ([]byte, bool) { return r.bytes(c, value) }
	case KindOther, KindText, KindWordless:
	}
	return r.text
}

// detectIn is detect for a cell, which may be an array.
func (e *Engine) detectIn(v *view, c ResultColumn) func([]byte) ([]byte, bool) {
	mask := e.detect(v, c)
	if c.Element != 0 {
		return each(c, mask)
	}
	return mask
}

// text replaces the matches in a text; the rest of it stays. Where a detector's
// strategy is null the whole cell is NULL.
func (r *replacer) text(value []byte) ([]byte, bool) {
	var room [8]span
	spans := r.set.find(value, room[:0])
	if len(spans) == 0 {
		return value, false
	}
	// A secret right behind another has no border of its own until that one is
	// gone.
	for range rounds {
		if value = r.replace(value, spans); value == nil {
			return nil, true
		}
		if spans = r.set.find(value, spans[:0]); len(spans) == 0 {
			return value, true
		}
	}
	return []byte(redacted), true
}

// rounds bounds how often a text is looked at again after something in it was
// replaced; what still changes then is hostile and goes whole.
const rounds = 8

// replace returns a copy of value with the spans replaced, nil for NULL.
func (r *replacer) replace(value []byte, spans []span) []byte {
	out := make([]byte, 0, len(value)+32*len(spans))
	last := 0
	for _, s := range merge(spans, r.strategy) {
		masked, ok := r.keys.text(r.strategy(s.detector), catalogue[s.detector].name, value[s.start:s.end])
		if !ok {
			return nil
		}
		out = append(out, value[last:s.start]...)
		out = append(out, masked...)
		last = s.end
	}
	return append(out, value[last:]...)
}

// bytes masks a bytea cell whole where a detector finds something in it.
func (r *replacer) bytes(c ResultColumn, value []byte) ([]byte, bool) {
	plain, ok := decode(c.Kind, c.Binary, value)
	if !ok {
		return nil, true
	}
	var room [8]span
	spans := r.set.find(plain, room[:0])
	if len(spans) == 0 {
		return value, false
	}
	for _, s := range spans {
		if r.strategy(s.detector) == Null {
			return nil, true
		}
	}
	return encode(c.Kind, c.Binary, []byte(redactedAs(catalogue[spans[0].detector].name))), true
}

// json masks the strings and numbers of a document in which a detector finds
// something; all else of the document keeps its bytes.
func (r *replacer) json(c ResultColumn, value []byte) ([]byte, bool) {
	document, ok := decode(c.Kind, c.Binary, value)
	if !ok {
		return nil, true
	}
	masked, changed := r.document(document)
	if !changed {
		return value, false
	}
	if masked != nil && c.Kind == KindJSONB && c.Binary {
		masked = append([]byte{jsonbVersion}, masked...)
	}
	return masked, true
}
