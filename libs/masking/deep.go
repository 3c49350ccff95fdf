package masking

import (
	"fmt"
	"slices"
	"strings"

	eventv1 "github.com/gatestay/gatestay/schemas/event/v1"
)

// replacer values that look at what is recorded: always redact.
func redacting(set detectorSet) *replacer {
	return &replacer{set: set, strategy: func(int) Strategy { return Redact }}
}

// deepText redacts what any detector finds: as written, encoded, and with
// disguises taken off.
func deepText(text []byte) ([]byte, bool) {
	out, _, changed := deepLook(text, setAll)
	return out, changed
}

func deepLook(text []byte, set detectorSet) (out []byte, found detectorSet, changed bool) {
	r := redacting(set)
	for range rounds {
		// Without disguises first: as written, only a part of a value may show.
		var spans []span
		if p := undisguise(text); p != nil {
			for _, s := range set.find(p.text, nil) {
				spans = append(spans, p.span(s))
			}
		}
		if len(spans) == 0 {
			spans = set.find(text, nil)
		}
		if len(spans) == 0 {
			spans = set.encoded(text)
		}
		if len(spans) == 0 {
			return text, found, changed
		}
		for _, s := range spans {
			found |= 1 << s.detector
		}
		text, changed = r.replace(text, spans), true
	}
	return []byte(redacted), found, true
}

// Redaction is what the second look did to one field of a record, or would do.
type Redaction struct {
	Field     string // statement, parameters.0, reason, message, details.remote
	Detectors []string
}

// String returns "statement (email, jwt)".
func (r Redaction) String() string {
	return fmt.Sprintf("%s (%s)", r.Field, strings.Join(r.Detectors, ", "))
}

// Deep is the second look: every detector on every text of a record that a
// commitment covers, as written, encoded, disguised, and across the borders of
// neighbouring fields. What is found is redacted in place; the record's
// commitments stay. It is idempotent.
func Deep(r *eventv1.Record) []Redaction {
	found := map[string]detectorSet{}
	fields := fieldsOf(r)
	// A key's border first: redacting its first half would hide the second.
	acrossBorders(fields, detectorsNamed("private-key"), found)
	for range rounds {
		for _, f := range fields {
			text, detectors, changed := deepLook([]byte(f.text), f.set)
			if changed {
				f.text = string(text)
				found[f.name] |= detectors
			}
		}
		if !acrossBorders(fields, setAll, found) {
			break
		}
	}
	var out []Redaction
	for _, f := range fields {
		if detectors := found[f.name]; detectors != 0 {
			f.put()
			out = append(out, Redaction{Field: f.name, Detectors: detectors.names()})
		}
	}
	return out
}

// field is one committed text of a record. Its name is libs/event's, which this
// package does not import: event loads keys, and this package does no I/O.
type field struct {
	name, text string
	set        detectorSet
	put        func() // writes text back
}

// fieldsOf returns the committed texts in a fixed order. E-mail addresses are
// not looked for in details: there they name persons and accounts, and the
// audit is about them.
func fieldsOf(r *eventv1.Record) []*field {
	var fields []*field
	add := func(name, text string, set detectorSet, put func(text string)) {
		f := &field{name: name, text: text, set: set}
		f.put = func() { put(f.text) }
		fields = append(fields, f)
	}
	add("statement", r.Statement, setAll, func(t string) { r.Statement = t })
	for i, p := range r.Parameters {
		add(fmt.Sprintf("parameters.%d", i), p, setAll, func(t string) { r.Parameters[i] = t })
	}
	add("reason", r.Reason, setAll, func(t string) { r.Reason = t })
	add("message", r.Message, setAll, func(t string) { r.Message = t })
	keys := make([]string, 0, len(r.Details))
	for k := range r.Details {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		add("details."+k, r.Details[k], setAll&^(1<<detectEmail), func(t string) { r.Details[k] = t })
	}
	return fields
}

// acrossBorders redacts the parts of values that were split over neighbouring
// fields. It reports whether there were any.
func acrossBorders(fields []*field, set detectorSet, found map[string]detectorSet) bool {
	type piece struct{ at, skip, length int } // joined[at:at+length] is text[skip:skip+length]
	var joined []byte
	pieces := make([]piece, len(fields))
	for i, f := range fields {
		content, skip := f.text, 0
		if n := len(content); n >= 2 && content[0] == '\'' && content[n-1] == '\'' { // as ScrubParameter quotes it
			content, skip = content[1:n-1], 1
		}
		pieces[i] = piece{len(joined), skip, len(content)}
		joined = append(joined, content...)
	}
	parts := make([][]span, len(fields))
	for _, s := range set.find(joined, nil) {
		var touched []int
		for i, p := range pieces {
			if p.length > 0 && s.start < p.at+p.length && s.end > p.at && fields[i].set.has(s.detector) {
				touched = append(touched, i)
			}
		}
		if len(touched) < 2 {
			continue
		}
		part := func(i int) span {
			p := pieces[i]
			return span{max(s.start-p.at, 0) + p.skip, min(s.end-p.at, p.length) + p.skip, s.detector}
		}
		if !slices.ContainsFunc(touched, func(i int) bool { return !ownOutput(fields[i].text[part(i).start:part(i).end]) }) {
			continue // nothing is left of it
		}
		for _, i := range touched {
			parts[i] = append(parts[i], part(i))
		}
	}
	changed := false
	for i, spans := range parts {
		if len(spans) == 0 {
			continue
		}
		changed = true
		for _, s := range spans {
			found[fields[i].name] |= 1 << s.detector
		}
		fields[i].text = string(redacting(setAll).replace([]byte(fields[i].text), spans))
	}
	return changed
}

// Exposed names the fields without a commitment in which a detector finds a
// secret. They cannot be redacted: the batch's hash covers them.
func Exposed(r *eventv1.Record) []Redaction {
	set := setAll &^ (1 << detectEmail)
	var out []Redaction
	look := func(name, text string) {
		if _, detectors, changed := deepLook([]byte(text), set); changed {
			out = append(out, Redaction{Field: name, Detectors: detectors.names()})
		}
	}
	for i, o := range r.Objects {
		look(fmt.Sprintf("objects.%d", i), o.Schema+" "+o.Name)
	}
	look("database", r.Database)
	look("actor", r.Actor)
	if p := r.Principal; p != nil {
		look("principal.agent", p.Agent)
		look("principal.on_behalf_of", p.OnBehalfOf)
	}
	for i, a := range r.Approvers {
		look(fmt.Sprintf("approvers.%d", i), a)
	}
	return out
}

func (set detectorSet) names() []string {
	var names []string
	for i := range catalogue {
		if set.has(i) {
			names = append(names, catalogue[i].name)
		}
	}
	slices.Sort(names)
	return names
}
