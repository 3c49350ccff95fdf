package postgres

import (
	"bytes"
	"slices"
	"strings"

	"github.com/gatestay/gatestay/libs/command"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// parse handles a Parse. Its text is forwarded unless no parameter could make
// it allowed: the decision itself is taken at Bind.
func (s *session) parse(message, body []byte) error {
	var m wire.ParseMessage
	if err := m.Decode(body); err != nil {
		return s.refuse(ofExecute, "", violation(err))
	}
	name := string(m.Name)
	if err := ownNameOnly(name); err != nil {
		return s.refuse(ofExecute, "", err)
	}
	if err := s.roomFor(len(m.Text)); err != nil {
		return s.refuse(ofParse, name, err)
	}
	d := s.decode(m.Text)
	if d.commands() > 1 {
		return s.refuse(ofParse, name, errSeveral)
	}
	if err := s.precheck(d); err != nil {
		if !isAnswer(err) {
			return err
		}
		return s.refuse(ofParse, name, err)
	}
	st := &statement{name: name, text: d, types: slices.Clone(m.Types)}
	e := &expectation{kind: ofParse, lasting: name == ""}
	return s.forward(e, message, func() {
		e.undo = s.names.prepare(st)
		s.handles.taken(false, name)
	})
}

// errSeveral is the target's own answer.
var errSeveral = like("42601", "cannot insert multiple commands into a prepared statement", "")

// roomFor refuses more prepared statements, or portals, than a session may
// have at a time.
func (s *session) roomFor(text int) error {
	l := s.server.limits
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	if len(s.names.statements) < l.Names && len(s.names.portals) < l.Names && s.names.bytes+text <= l.Texts {
		return nil
	}
	return &refusal.Refusal{
		Code: refusal.LimitReached, Message: "this session has as many prepared statements or portals as it may",
		Hint: "Close those that are not needed any more (DEALLOCATE does not tell the gateway).",
	}
}

// precheck decides without parameters.
func (s *session) precheck(d *decoded) error {
	if d.empty() || d.uses() { // a name may mean something by then
		return nil
	}
	commands, _, err := s.prepareCommands(d, nil)
	if err != nil {
		return err
	}
	for i := range commands {
		if err := s.gate.Precheck(&commands[i]); err != nil {
			return err //nolint:wrapcheck // a refusal, for the client
		}
	}
	return nil
}

// bind handles a Bind: here a command is decided.
func (s *session) bind(message, body []byte) error {
	var m wire.BindMessage
	if err := m.Decode(body); err != nil {
		return s.refuse(ofBind, "", violation(err))
	}
	name := string(m.Portal)
	if err := ownNameOnly(name); err != nil {
		return s.refuse(ofBind, "", err)
	}
	// The state first: it also tells whether the name still means its text.
	st, err := s.statementNamed(string(m.Statement))
	if err != nil {
		if isAnswer(err) {
			return s.fail(ofBind, err)
		}
		return err
	}
	if err := s.roomFor(0); err != nil {
		return s.fail(ofBind, err)
	}
	p := &portal{name: name, statement: st, formats: slices.Clone(m.ResultFormats)}
	if !st.text.empty() {
		runs, err := s.decide(st.text, parameters(st, &m))
		if err != nil {
			if isAnswer(err) {
				return s.fail(ofBind, err)
			}
			return err
		}
		p.run = runs[0]
		message = translate(&m, message, p.run.permit.Translated())
	}
	p.version = s.asked.version
	e := &expectation{kind: ofBind, portal: p}
	err = s.forward(e, message, func() {
		p.group, p.tx = s.pipeline.group+1, s.track.tx
		s.handles.taken(true, name)
		p.handles = s.handles.version
		e.replaced, e.undo = s.names.bind(p)
	})
	if err != nil {
		p.run.finish(statusNotExecuted, "", "")
	}
	return err
}

// translate puts other values into a Bind.
func translate(m *wire.BindMessage, message []byte, translated map[int][]byte) []byte {
	if len(translated) == 0 {
		return message
	}
	for i, v := range translated {
		m.Values[i] = v
	}
	return m.Append(nil)
}

// statementNamed returns a prepared statement, once what the name means is
// certain.
func (s *session) statementNamed(name string) (*statement, error) {
	s.pipeline.mu.Lock()
	suspect := s.track.suspect && name != ""
	known := s.names.statements[name] != nil
	s.pipeline.mu.Unlock()
	if suspect || !known { // a message that took the name away may yet fail
		if err := s.settle(); err != nil {
			return nil, err
		}
	}
	if suspect {
		s.pipeline.mu.Lock()
		failed := s.track.tx == wire.Failed
		s.pipeline.mu.Unlock()
		if !failed {
			if err := s.ask(); err != nil {
				return nil, err
			}
		}
	}
	s.pipeline.mu.Lock()
	defer s.pipeline.mu.Unlock()
	st := s.names.statements[name]
	if st == nil {
		hint := ""
		if name != "" {
			hint = "A statement that SQL has prepared is executed with SQL, too (EXECUTE)."
		}
		return nil, like(stateNoStatement, noName("prepared statement", name), hint)
	}
	return st, nil
}

// noName is the target's own wording.
func noName(what, name string) string {
	if name == "" {
		return "unnamed " + what + " does not exist"
	}
	return what + ` "` + clean(name) + `" does not exist`
}

// parameters copies the bound values: a decision may keep them.
func parameters(st *statement, m *wire.BindMessage) []command.Parameter {
	if len(m.Values) == 0 {
		return nil
	}
	list := make([]command.Parameter, len(m.Values))
	for i, v := range m.Values {
		list[i].Format = wire.Format(m.ParameterFormats, i)
		list[i].Value = bytes.Clone(v)
		if i < len(st.types) {
			list[i].Type = st.types[i]
		}
	}
	return list
}

// fail answers a message of the extended protocol with an error. Where the
// target drops messages already, since an inquiry of ours failed inside of the
// client's group, the client is told directly: nothing else is due to it.
func (s *session) fail(k kind, cause error) error {
	if s.dropping() {
		return s.tell(cause)
	}
	return s.refuse(k, "", cause)
}

func (s *session) tell(cause error) error {
	if err := s.out.Append(func(dst []byte) []byte {
		return wire.AppendReport(dst, wire.ErrorResponse, report(cause, severityError))
	}); err != nil {
		return err //nolint:wrapcheck // wire's, wrapped already
	}
	return s.flushClient()
}

// ownNameOnly keeps clients off the name that the gateway asks through.
func ownNameOnly(name string) error {
	if !strings.HasPrefix(name, ownName) {
		return nil
	}
	return &refusal.Refusal{
		Code: refusal.ProtocolUnsupported, Message: "names that begin with " + ownName + " are the gateway's", Hint: "Use another name.",
	}
}
