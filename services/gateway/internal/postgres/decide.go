package postgres

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// decide admits every command of a text, before any of it is forwarded. The
// error is what the client is told, or errDropped, or errOver.
func (s *session) decide(d *decoded, parameters []command.Parameter) ([]*run, error) {
	commands, facts, err := s.prepareCommands(d, parameters)
	if err != nil {
		return nil, err
	}
	// No approver is asked for a text that is refused for its last statement.
	if len(commands) > 1 {
		for i := range commands {
			if err := s.gate.Precheck(&commands[i]); err != nil {
				return nil, err //nolint:wrapcheck // a refusal, for the client
			}
		}
	}
	if s.pipeline.pending() && slices.ContainsFunc(commands, func(c seam.Command) bool { return s.gate.WouldHold(&c) }) {
		// An approver is asked when all that came before has ended well: it may
		// have left locks, or the transaction in another state than foreseen.
		if err := s.settle(); err != nil {
			return nil, err
		}
		if commands, facts, err = s.prepareCommands(d, parameters); err != nil {
			return nil, err
		}
	}
	runs := make([]*run, 0, len(commands))
	clear(s.trials)
	for i := range commands {
		permit, err := s.admit(&commands[i])
		if err != nil {
			s.unexplained(err)
			for _, r := range runs {
				r.finish(statusNotExecuted, "", "")
			}
			return nil, d.spelt(err)
		}
		runs = append(runs, &run{permit: permit, measured: s.measuredBy(permit, &commands[i]), facts: &facts[i], known: d.unreadable == nil, copy: d.copyOf(i), gives: d.gives(facts, i), started: time.Now(), limit: permit.MaxRows(), maxBytes: permit.MaxBytes()})
		if err := separate(d, commands, facts, i, runs[i]); err != nil {
			for _, r := range runs {
				r.finish(statusNotExecuted, codeOf(err), "")
			}
			return nil, err
		}
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	for i := range facts {
		s.track.admitted(&facts[i])
	}
	return runs, nil
}

// prepareCommands makes sure that the session's state is known and turns a
// text into commands.
func (s *session) prepareCommands(d *decoded, parameters []command.Parameter) ([]seam.Command, []command.Facts, error) {
	if d.uses() { // what is on its way may change what a name means
		if err := s.settle(); err != nil {
			return nil, nil, err
		}
	}
	if err := s.knowState(d); err != nil {
		return nil, nil, err
	}
	facts := s.resolve(d)
	known, _ := s.catalog.Current(s.ctx) // without one, nothing is known of any command
	commands := make([]seam.Command, len(facts))
	s.pipeline.mu.Lock()
	tx, dirty := s.track.tx, s.track.dirty
	s.pipeline.mu.Unlock()
	for i := range facts {
		state := s.asked.state
		state.InTransaction = tx
		text := d.statement(i)
		if d.unreadable == nil {
			if u, ok := s.used(d, facts, i); ok {
				text = u.Text
			}
		}
		commands[i] = seam.Command{Text: text, Parameters: parameters, Facts: facts[i], State: state, Dirty: dirty, Memo: d.memo(facts, i)}
		if d.unreadable == nil {
			commands[i].Canonical = func() []byte { return pgfacts.Canonical(text) }
			commands[i].Blanked = func() []byte { return pgfacts.Blanked(text) }
		}
		commands[i].Refresh = func(ctx context.Context) (command.Facts, error) { return s.refresh(ctx, d, facts, known, i) }
		commands[i].Rehearse = func(ctx context.Context, limit time.Duration, begin func() error) *seam.Rehearsal {
			return s.rehearse(ctx, d, &commands[i], known, i, limit, begin)
		}
		commands[i].Radius = func(ctx context.Context) *seam.Radius { return s.radius(ctx, d, &commands[i], known, i) }
		if err := s.allowed(d.statement(i), &facts[i]); err != nil {
			s.gate.Refused(&commands[i], err)
			return nil, nil, err
		}
		tx = after(tx, &facts[i], d.statement(i))
	}
	return commands, facts, nil
}

// knowState asks for the session's state where it may have changed. In a failed
// transaction nothing can be asked, and the target takes nothing but its end.
func (s *session) knowState(d *decoded) error {
	s.pipeline.mu.Lock()
	known, failed := s.track.known, s.track.tx == wire.Failed
	s.pipeline.mu.Unlock()
	if failed && !endsTransaction(d) {
		return like(stateFailedTransaction, "current transaction is aborted, commands ignored until end of transaction block", "")
	}
	if known || failed || setsTransaction(d) {
		return nil
	}
	if err := s.settle(); err != nil {
		return err
	}
	s.pipeline.mu.Lock()
	known, failed = s.track.known, s.track.tx == wire.Failed
	s.pipeline.mu.Unlock()
	if known || failed {
		return nil
	}
	if err := s.ask(); err != nil {
		return err
	}
	if err := s.fixed(); err != nil {
		s.end(err)
		return errOver
	}
	return nil
}

// endsTransaction reports a text that a failed transaction takes, or that gets
// another error there: its grammar comes first.
func endsTransaction(d *decoded) bool {
	if d.unreadable != nil || d.empty() {
		return true
	}
	f := &d.statements[0].Facts
	return f.Verb == "prepare transaction" || slices.Contains([]string{"commit", "rollback", "rollback to"}, f.Transaction)
}

// plainTransaction is SET TRANSACTION in words that mean the same in every state
// of the session: there is nothing to quote, and every character is ASCII.
var plainTransaction = regexp.MustCompile(`(?i)^\s*set\s+transaction\s[a-z\s,]+;?\s*$`)

// setsTransaction reports SET TRANSACTION alone. The target takes it before the
// transaction's first query only, and asking would be one.
func setsTransaction(d *decoded) bool {
	return d.unreadable == nil && len(d.statements) == 1 && d.statements[0].Facts.Verb == "set" && plainTransaction.MatchString(d.text)
}

func after(tx byte, f *command.Facts, text string) byte {
	t := track{tx: tx}
	t.forwarded(f, text)
	return t.tx
}

// plainEncoding are the ways to set client_encoding to what it is.
var plainEncoding = regexp.MustCompile(`(?is)^\s*(set\s+((session|local)\s+)?(client_encoding\s*(=|to)|names)\s*('(utf-?8|unicode)'|"?utf8"?|unicode|default)|reset\s+client_encoding)\s*;?\s*$`)

// plainStrings are the ways to set standard_conforming_strings to what it is.
var plainStrings = regexp.MustCompile(`(?is)^\s*(set\s+((session|local)\s+)?standard_conforming_strings\s*(=|to)\s*'?(on|true|1|yes|default)'?|reset\s+standard_conforming_strings)\s*;?\s*$`)

// allowed refuses what no rule can allow, since the gateway could not follow.
func (s *session) allowed(text string, f *command.Facts) error {
	for _, name := range f.Settings {
		if name == "client_encoding" && !plainEncoding.MatchString(text) {
			return encodingFixed()
		}
		if name == "standard_conforming_strings" && !plainStrings.MatchString(text) {
			return stringsFixed()
		}
	}
	return nil
}

// unexplained logs what the client is not told the reason of.
func (s *session) unexplained(err error) {
	var r *refusal.Refusal
	if !errors.As(err, &r) && !errors.Is(err, seam.ErrClientCancelled) && s.ctx.Err() == nil {
		s.log.Error().Err(err).Msg("a command could not be decided")
	}
}

// isAnswer reports an error that is for the client.
func isAnswer(err error) bool { return !errors.Is(err, errDropped) && !errors.Is(err, errOver) }
