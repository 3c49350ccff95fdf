package postgres

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// A CopyOutResponse tells neither the names of its columns nor where they come
// from. So the target is asked before, on the same session, to describe a query
// that has the same columns.

// describeCopies asks for the columns of each COPY TO STDOUT of a text that is
// about to be forwarded, and refuses those whose masks do not fit.
func (s *session) describeCopies(runs []*run) error {
	s.pipeline.mu.Lock()
	sure := s.track.tx != wire.Failed
	s.pipeline.mu.Unlock()
	for _, r := range runs {
		if r.copy != nil && !r.copy.From {
			if err := s.describeCopy(r, sure); err != nil {
				return err
			}
		}
		sure = sure && steady(r.facts)
	}
	return nil
}

// steady reports a command behind which names and definitions are as before.
func steady(f *command.Facts) bool {
	return f.Class == command.Read || f.Class == command.Write && f.Neutral || f.Transaction == "begin" || f.Transaction == "savepoint"
}

// describeCopy asks for the columns of one COPY. sure says that what is
// described now is what runs then.
func (s *session) describeCopy(r *run, sure bool) error {
	r.columns, r.unclear = nil, r.copy.Unclear
	if !sure {
		r.unclear = "an earlier statement of its text may change what it reads"
	}
	if r.unclear == "" {
		var names []string
		if r.copy.Relation != "" && len(r.copy.Columns) == 0 {
			var err error
			if names, err = s.copyColumns(r.copy.Relation); err != nil {
				return err
			}
		}
		alone := s.alone()
		q := &inquiry{}
		if err := s.describeText(q, r.copy.Select(names)); err != nil {
			// A COPY looks for other mistakes first than a query does. Its own error is
			// the client's, where nothing of it is masked and no transaction has failed.
			r.unclear = "the target did not describe it"
			if _, masked := s.copyMasker(r); masked != nil || !alone || !isTargets(err) {
				return err
			}
			return nil
		}
		r.columns = q.columns
	}
	_, err := s.copyMasker(r)
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

// copyColumns are the columns that COPY takes of a table where it lists none:
// all but the generated ones. They come quoted.
func (s *session) copyColumns(relation string) ([]string, error) {
	row, err := s.inquire(`SELECT pg_catalog.json_agg(pg_catalog.quote_ident(attname) ORDER BY attnum)::pg_catalog.text FROM pg_catalog.pg_attribute ` +
		`WHERE attrelid OPERATOR(pg_catalog.=) '` + strings.ReplaceAll(relation, `'`, `''`) + `'::pg_catalog.regclass AND attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 ` +
		`AND NOT attisdropped AND attgenerated OPERATOR(pg_catalog.=) ''::"char"`)
	if err != nil {
		return nil, unplaced(err)
	}
	var names []string
	if len(row) != 1 {
		return nil, fmt.Errorf("postgres: columns of a table: %d values", len(row))
	}
	if row[0] == nil {
		return nil, nil
	}
	if err := json.Unmarshal(row[0], &names); err != nil {
		return nil, fmt.Errorf("postgres: columns of a table: %w", err)
	}
	return names, nil
}

// describeText asks what the result of a text would look like, without running
// it.
func (s *session) describeText(q *inquiry, text string) error {
	kinds := []kind{ofClose, ofParse, ofDescribe, ofClose}
	err := s.converse(q, kinds, func(dst []byte) []byte {
		dst = wire.AppendTarget(dst, wire.Close, wire.Statement, ownName)
		dst = wire.AppendParse(dst, ownName, text)
		dst = wire.AppendTarget(dst, wire.Describe, wire.Statement, ownName)
		return wire.AppendTarget(dst, wire.Close, wire.Statement, ownName)
	})
	if err != nil {
		return unplaced(err)
	}
	return nil
}

// unplaced takes the place out of an error that speaks of a text of the
// gateway's own.
func unplaced(err error) error {
	if a, ok := err.(*answer); ok { //nolint:errorlint // an inquiry returns it bare
		return &answer{slices.DeleteFunc(slices.Clone(a.report), func(f wire.Field) bool { return f.Code == wire.FieldPosition })}
	}
	return err
}
