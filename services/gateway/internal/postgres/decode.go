package postgres

import (
	"errors"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/catalog"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// decoded is a text and what is known of it.
type decoded struct {
	text       string
	statements []pgfacts.Statement
	unreadable *pgfacts.SyntaxError // the text as a whole is unknown

	facts []command.Facts // resolved, one a statement
	memos []seam.Memo     // of the facts, one a statement
	stamp stamp           // what they were resolved under
}

// stamp says under which circumstances names were resolved.
type stamp struct {
	state, catalog uint64
	redefined      redefinition   // in the open transaction
	masks          *pgfacts.Masks // the masked columns in that catalog
}

// resolved keeps the texts that a session has sent lately.
type resolved struct {
	texts map[string]*decoded
	bytes int
}

// Bounds of resolved.
const (
	maxResolvedText  = 16 << 10
	maxResolvedBytes = 512 << 10
	// resolvedText is what is known of a small text: several times the text.
	resolvedText = 3 << 10
)

// decode reads a text.
func (s *session) decode(text []byte) *decoded {
	if d, ok := s.resolved.texts[string(text)]; ok {
		return d
	}
	d := &decoded{text: string(text)}
	statements, err := s.server.facts.Parse(d.text)
	d.statements = statements
	if err != nil && !errors.As(err, &d.unreadable) {
		d.unreadable = &pgfacts.SyntaxError{Message: "it could not be read", Position: -1, Unread: true}
	}
	s.resolved.keep(d)
	return d
}

// keep remembers a text. Where there are too many all others are forgotten: a
// client that sends so many different ones sends none of them twice.
func (r *resolved) keep(d *decoded) {
	if len(d.text) > maxResolvedText {
		return
	}
	size := resolvedText + len(d.text)
	if r.bytes += size; r.bytes > maxResolvedBytes {
		clear(r.texts)
		r.bytes = size
	}
	r.texts[d.text] = d
}

// empty reports a text without a statement.
func (d *decoded) empty() bool { return d.unreadable == nil && len(d.statements) == 0 }

// begins reports a text that does nothing but begin a transaction. One that is
// open already by messages before it, with their portals, becomes that one.
func (d *decoded) begins() bool {
	return d.unreadable == nil && len(d.statements) == 1 && d.statements[0].Facts.Transaction == "begin"
}

// commands is how many commands the text is decided as.
func (d *decoded) commands() int {
	if d.unreadable != nil {
		return 1
	}
	return len(d.statements)
}

// statement returns the text of one command.
func (d *decoded) statement(i int) string {
	if d.unreadable != nil {
		return d.text
	}
	return d.statements[i].Text
}

// copyOf returns what is known of the data of a COPY, nil where a command is none.
func (d *decoded) copyOf(i int) *pgfacts.Copy {
	if d.unreadable != nil {
		return nil
	}
	return d.statements[i].Copy
}

// resolve completes the facts by the target's catalog and the session's state.
func (s *session) resolve(d *decoded) []command.Facts {
	if d.unreadable != nil {
		facts := d.unreadable.Facts()
		if len(s.gate.Masks()) > 0 {
			facts.Compared = s.masks(&catalog.Snapshot{}).Compared(&facts)
		}
		return []command.Facts{facts}
	}
	snapshot, err := s.catalog.Current(s.ctx)
	s.pipeline.mu.Lock()
	now := stamp{state: s.asked.version, catalog: snapshot.Version, redefined: s.track.redefined, masks: s.masks(snapshot)}
	s.pipeline.mu.Unlock()
	if err == nil && d.facts != nil && d.stamp == now {
		return d.facts
	}
	statements, uses := d.statements, d.uses()
	if uses {
		statements = slices.Clone(statements)
	}
	facts, views := make([]command.Facts, len(d.statements)), make([]view, len(d.statements))
	for retry := true; ; retry = false {
		missed := false
		seen := s.view(snapshot, now.masks, now.redefined.relations)
		for i := range d.statements {
			views[i] = seen
			if u, ok := s.used(d, facts, i); ok {
				statements[i] = u
				if facts[i] = u.Facts; u.Handle.Cursor {
					continue // resolved when it was declared
				}
			} else {
				facts[i] = d.statements[i].Facts
			}
			known := facts[i].IsUnknown("objects")
			// Without a catalog every name is unknown.
			facts[i] = seen.snapshot.Catalog.Resolve(facts[i], s.asked.state.SearchPath, s.asked.temp)
			seen = s.with(seen, pgfacts.Made(&facts[i]))
			missed = missed || (!known && facts[i].IsUnknown("objects"))
		}
		if !missed || !retry || err != nil {
			break
		}
		// A name that is not there may be new.
		again, ok := s.catalog.Missed(s.ctx, snapshot)
		if !ok {
			break
		}
		snapshot, now.catalog = again, again.Version
		now.masks = s.masks(snapshot)
	}
	for i := range facts {
		if f := &facts[i]; !reads(f.Class) {
			f.Copies = views[i].masks.Taint(f).Copies()
		}
	}
	afterEarlier(statements, facts, views, now.redefined)
	for i := range facts {
		facts[i].Compared = views[i].masks.Compared(&facts[i])
	}
	if err == nil && !uses {
		d.facts, d.memos, d.stamp = facts, make([]seam.Memo, len(facts)), now
	}
	return facts
}

// memo belongs to command i of the text with these facts; nil where they are
// not kept.
func (d *decoded) memo(facts []command.Facts, i int) *seam.Memo {
	if len(d.memos) == 0 || &d.facts[0] != &facts[0] {
		return nil
	}
	return &d.memos[i]
}

// resolvedFields are the facts that depend on what names mean.
var resolvedFields = []string{"objects", "reads", "writes", "columns", "filters", "catalog", "comparisons"}

// without marks fields unknown. The facts are a cache's: nothing they share is
// changed.
func without(f command.Facts, why string, fields ...string) command.Facts {
	f.Unknown = slices.Clone(f.Unknown)
	for _, name := range fields {
		if !slices.Contains(f.Unknown, name) {
			f.Unknown = append(f.Unknown, name)
		}
	}
	f.Catalog = false
	switch {
	case f.Why == "":
		f.Why = why
	case !strings.Contains(f.Why, why):
		f.Why += "; " + why
	}
	return f
}

// afterEarlier takes back what cannot be known of a statement because of what
// earlier ones, of the text or of the transaction, may have done.
func afterEarlier(statements []pgfacts.Statement, facts []command.Facts, views []view, doubt redefinition) {
	moved := false
	for i := range facts {
		f, own := &facts[i], &statements[i].Facts
		if why, extent := doubt.doubts(own, views[i].has); extent > nothing && (own.Class != command.Session || len(own.Objects) > 0) && !plain(own) {
			*f = without(*f, why, resolvedFields...)
			if extent >= anyName {
				*f = without(*f, why, "functions")
				f.Neutral = false
			}
			if extent == whole || extent == anyName && reads(own.Class) {
				*f = without(*f, why, "class")
				f.Class = command.Unknown
			}
		}
		switch {
		case own.Transaction != "":
			if moved && own.Transaction != "begin" && own.Transaction != "savepoint" {
				doubt.meaning = titled(own) // what was set may be so no more
			}
		case !own.Neutral && own.Class == command.Session:
			moved = true
			if !plainSettings(own) {
				doubt.meaning = titled(own)
			}
		case own.Class == command.Write && !f.Neutral: // a trigger, perhaps
			doubt.meaning = titled(own)
		}
		if doubt = doubt.after(f); undoes(own) {
			doubt = doubt.unsure()
		}
	}
}

// plain reports a statement that names nothing whose meaning could change.
func plain(f *command.Facts) bool {
	return f.Class == command.Read && len(f.Objects)+len(f.Functions)+len(f.Operators)+len(f.Types)+len(f.Attributes) == 0 && len(f.Unknown) == 0
}

// lookup are the settings that change what names mean, or who asks.
var lookup = map[string]bool{
	"search_path": true, "role": true, "session_authorization": true, "session_replication_role": true, "row_security": true,
	"client_encoding": true, "standard_conforming_strings": true, "*": true,
}

// plainSettings reports a statement that changes nothing but settings which do
// not change what names mean.
func plainSettings(f *command.Facts) bool {
	return f.Class == command.Session && len(f.Settings) > 0 && !f.IsUnknown("settings") &&
		!slices.ContainsFunc(f.Settings, func(name string) bool { return lookup[name] })
}
