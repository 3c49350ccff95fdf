package postgres

import (
	"context"
	"io"
	"net"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
	"github.com/gatestay/gatestay/services/gateway/internal/seam"
)

// Plan reads scripts as a new session of the target would that begins with these
// settings, and runs nothing of
// them but what changes this session alone: transactions, and settings, so that
// what follows is read as it will be. Objects that earlier statements would make
// are not there: what is not known of a statement for that reason is unknown. It
// closes gate. Errors are a *seam.Unreadable or a *refusal.Refusal.
func (s *Server) Plan(ctx context.Context, gate seam.Session, target, database string, settings map[string]string, scripts []seam.Script) ([]seam.Planned, error) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Login)
	defer cancel()
	up, err := s.connect(ctx, gate, target, settings)
	if err != nil {
		gate.Close("the target could not be reached, or refused the sign-in")
		return nil, err
	}
	client, far := net.Pipe() // nobody is told anything
	ses := newSession(s, gate, &opening{version: wire.Version32, target: target, database: database}, client, wire.NewReader(client), wire.NewWriter(client), up)
	ses.background.Go(ses.serveUpstream)
	ses.background.Go(func() { _, _ = io.Copy(io.Discard, far) })
	defer func() {
		_ = client.Close()
		ses.abandon("planned")
	}()
	defer context.AfterFunc(ctx, func() { ses.end(context.Cause(ctx)) })()
	if err := ses.ask(); err != nil {
		return nil, loginRefusal(target, err)
	}
	if err := ses.fixed(); err != nil {
		return nil, err
	}
	var out []seam.Planned
	m := &planMeasurer{}
	measuring, stop := context.WithTimeout(ctx, planMeasuring)
	defer stop()
	for i := range scripts {
		list, err := ses.planScript(measuring, &scripts[i], i, m)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

func (s *session) planScript(measuring context.Context, script *seam.Script, number int, m *planMeasurer) ([]seam.Planned, error) {
	d := s.decode([]byte(script.Text))
	if d.unreadable != nil {
		return nil, &seam.Unreadable{Script: number, Line: lineOf(script.Text, d.unreadable.Position), Why: d.unreadable.Error()}
	}
	if script.Together {
		if err := s.pretend(&command.Facts{Transaction: "begin", Neutral: true}, "BEGIN"); err != nil {
			return nil, err
		}
	}
	out := make([]seam.Planned, 0, len(d.statements))
	for i := range d.statements {
		st := &d.statements[i]
		alone := s.decode([]byte(st.Text))
		commands, facts, err := s.prepareCommands(alone, nil)
		if err != nil {
			return nil, err
		}
		if len(commands) != 1 {
			return nil, &seam.Unreadable{Script: number, Line: lineOf(script.Text, st.Start), Why: "this is not one statement"}
		}
		out = append(out, seam.Planned{
			Command: commands[0], Script: number, Line: lineOf(script.Text, st.Start+leading(st.Text)), Receives: st.Copy != nil && st.Copy.From,
			Radius: m.measure(measuring, s.gate, &commands[0]),
		})
		if err := s.pretend(&facts[0], st.Text); err != nil {
			return nil, &seam.Unreadable{Script: number, Line: lineOf(script.Text, st.Start+leading(st.Text)), Why: err.Error()}
		}
	}
	if script.Together {
		if err := s.pretend(&command.Facts{Transaction: "commit"}, "COMMIT"); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pretend notes a statement as if it had run, and runs what changes this session
// only.
func (s *session) pretend(f *command.Facts, text string) error {
	own := f.Transaction != "" || (f.Verb == "set" || f.Verb == "reset") && f.Class == command.Session && !f.Neutral && len(f.Functions) == 0
	if own {
		if _, err := s.inquire(text); err != nil {
			return err
		}
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	s.track.forwarded(f, text)
	if s.track.tx == wire.Idle {
		s.track.moved, s.track.redefined, s.track.doubtful = false, redefinition{}, false
	}
	if own && f.Transaction == "" || f.Transaction == "commit" || strings.HasPrefix(f.Transaction, "rollback") {
		s.track.known = false
	}
	return nil
}

// leading is where a statement begins behind the comments before it.
func leading(text string) int {
	return pgfacts.Begins(text)
}

func lineOf(text string, position int) int {
	return 1 + strings.Count(text[:min(max(position, 0), len(text))], "\n")
}
