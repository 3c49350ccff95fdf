package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/copydata"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// A CopyOutResponse tells neither the names of its columns nor where they come
// from. So the target is asked before, on the same session, to describe a query
// that has the same columns. What it has described it keeps locked to the end of
// its transaction, against changes of definitions too; so the COPY has to run in
// the same one.

// describeCopies asks for the columns of each COPY TO STDOUT of a Query that is
// about to be forwarded, and refuses those whose masks do not fit.
func (s *session) describeCopies(d *decoded, runs []*run) error {
	if !slices.ContainsFunc(runs, func(r *run) bool { return r.copy != nil && !r.copy.From }) {
		return nil
	}
	s.pipeline.mu.Lock()
	sure, stay := s.track.tx != wire.Failed, s.track.tx == wire.Idle
	s.pipeline.mu.Unlock()
	for i, r := range runs {
		// An isolation level is set before a transaction's first query only.
		if r.facts.Transaction == "begin" && stay && begins.MatchString(d.statement(i)) {
			sure, stay = false, false
		}
	}
	for _, r := range runs {
		if r.copy != nil && !r.copy.From {
			if err := s.describeCopy(r, sure, stay); err != nil {
				return err
			}
		}
		sure = sure && steady(r.facts)
	}
	return nil
}

// begins is a BEGIN that says what can be said at the beginning only.
var begins = regexp.MustCompile(`(?i)isolation|deferrable`)

// steady reports a command behind which names and definitions are as before.
func steady(f *command.Facts) bool {
	return f.Class == command.Read || f.Class == command.Write && f.Neutral || f.Transaction == "begin" || f.Transaction == "savepoint"
}

// describeCopy asks for the columns of one COPY. sure says that what is
// described now is what runs then; stay that there is no transaction yet which
// both are part of.
func (s *session) describeCopy(r *run, sure, stay bool) error {
	r.columns, r.unclear = nil, r.copy.Unclear
	if !sure {
		r.unclear = "an earlier statement of its text may change what it reads"
	}
	if r.unclear == "" {
		alone := s.alone()
		columns, err := s.copyColumns(r.copy, stay)
		if err != nil {
			// A COPY looks for other mistakes first than a query does. Its own error is
			// the client's, where nothing of it is masked and no transaction has failed.
			r.unclear = "the target did not describe it"
			if _, masked := s.copyMasker(r); masked != nil || !alone || !isTargets(err) {
				return err
			}
			return nil
		}
		r.columns = columns
	}
	masker, err := s.copyMasker(r)
	if err == nil && masker != nil && copydata.New(r.copyFormat(), masker).NullHidden() {
		// Which of the two a cell is must not show, or whoever guesses a value has it
		// told by a NULL that is none.
		err = copyUnlike("a value may look as its NULLs do; NULL '\\N', NULL '' and the format csv tell them apart")
	}
	return err
}

// alone reports that an error of an inquiry would leave the session as it is.
func (s *session) alone() bool {
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	return s.track.tx == wire.Idle && !s.pipeline.executed && !s.names.boundIn(s.pipeline.group+1)
}

func isTargets(err error) bool {
	var a *answer
	return errors.As(err, &a)
}

// copyMasker masks the data of a COPY; nil where it passes as it is.
func (s *session) copyMasker(r *run) (seam.Masker, error) {
	if r.unclear == "" {
		var formats []int16
		if r.copy.Format == "binary" {
			formats = []int16{1}
		}
		return r.permit.Result(s.columns(r, r.columns, formats)) //nolint:wrapcheck // a refusal, for the client
	}
	// Nothing is known of its columns: one of any kind may be among them.
	any := []seam.Column{{Name: "?", Tainted: len(s.gate.Masks()) > 0, Kind: seam.KindText}}
	masker, err := r.permit.Result(any)
	if err == nil && masker != nil {
		err = copyUnlike(r.unclear)
	}
	return nil, err //nolint:wrapcheck // a refusal, for the client
}

// copyColumns are the columns of a COPY's data.
func (s *session) copyColumns(c *pgfacts.Copy, stay bool) ([]wire.Column, error) {
	if c.Relation == "" || len(c.Columns) > 0 {
		return s.describeText(c.Select(nil), stay)
	}
	// Where it lists none of its table's, it takes all but the generated ones. Which
	// these are can only be asked before the table is locked: a query that runs would
	// make the target wait for a Sync behind the COPY. Numbers are never used again,
	// and no column becomes a generated one.
	var known []struct {
		Number    int16 `json:"n"`
		Generated bool  `json:"g"`
	}
	row, err := s.inquire(`SELECT pg_catalog.json_agg(pg_catalog.json_build_object('n', attnum, 'g', attgenerated OPERATOR(pg_catalog.<>) ''::"char") ORDER BY attnum)::pg_catalog.text ` +
		`FROM pg_catalog.pg_attribute WHERE attrelid OPERATOR(pg_catalog.=) '` + strings.ReplaceAll(c.Relation, `'`, `''`) + `'::pg_catalog.regclass ` +
		`AND attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT attisdropped`)
	if err != nil {
		return nil, unplaced(err)
	}
	if len(row) != 1 {
		return nil, fmt.Errorf("postgres: columns of a table: %d values", len(row))
	}
	if row[0] != nil {
		if err := json.Unmarshal(row[0], &known); err != nil {
			return nil, fmt.Errorf("postgres: columns of a table: %w", err)
		}
	}
	described, err := s.describeText("SELECT * FROM ONLY "+c.Relation, stay)
	if err != nil {
		return nil, err
	}
	changed := len(described) != len(known)
	var out []wire.Column
	for i, col := range described {
		if changed = changed || col.Number != known[i].Number; changed {
			return nil, copyUnlike("its table was changed at the same time")
		}
		if !known[i].Generated {
			out = append(out, col)
		}
	}
	if changed {
		return nil, copyUnlike("its table was changed at the same time")
	}
	return out, nil
}

// describeText asks what the result of a text would look like, without running
// it.
func (s *session) describeText(text string, stay bool) ([]wire.Column, error) {
	q := &inquiry{}
	kinds := []kind{ofClose, ofParse, ofDescribe, ofClose}
	err := s.within(stay, q, kinds, func(dst []byte) []byte {
		dst = wire.AppendTarget(dst, wire.Close, wire.Statement, ownName)
		dst = wire.AppendParse(dst, ownName, text)
		dst = wire.AppendTarget(dst, wire.Describe, wire.Statement, ownName)
		return wire.AppendTarget(dst, wire.Close, wire.Statement, ownName)
	})
	if err != nil {
		return nil, unplaced(err)
	}
	return q.columns, nil
}

// within is converse; stay leaves the transaction open that the target begins for
// it, so that the Query to come runs in the same one: where none of the messages is
// an Execute, it commits behind the Query as ever.
func (s *session) within(stay bool, q *inquiry, kinds []kind, encode func(dst []byte) []byte) error {
	sync := s.syncs()
	if !stay || !sync {
		return s.converse(q, kinds, sync, encode)
	}
	p := s.pipeline
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	err := s.converse(q, kinds, false, encode)
	p.mu.Lock()
	p.open = open
	failed := p.broken
	p.mu.Unlock()
	if failed { // the target drops what comes up to a Sync
		if again := s.converse(&inquiry{}, nil, true, func(dst []byte) []byte { return dst }); again != nil {
			return again
		}
	}
	return err
}

// unplaced takes the place out of an error that speaks of a text of the
// gateway's own.
func unplaced(err error) error {
	if a, ok := err.(*answer); ok { //nolint:errorlint // an inquiry returns it bare
		return &answer{slices.DeleteFunc(slices.Clone(a.report), func(f wire.Field) bool { return f.Code == wire.FieldPosition })}
	}
	return err
}
