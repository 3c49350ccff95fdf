package postgres

import (
	"crypto/rand"
	"encoding/binary"
	"errors"

	pgfacts "github.com/gatestay/gatestay/libs/command/postgres"
	"github.com/gatestay/gatestay/libs/refusal"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/copydata"
	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// inspectCopy makes ready to look at the data of a COPY FROM STDIN, where
// somebody wants to. It returns why the data cannot be looked at, else nil.
func (s *session) inspectCopy(r *run, m wire.CopyResponse) error {
	if r.copy == nil {
		return copyUnseen()
	}
	columns := r.facts.Received
	if len(columns) != len(m.Formats) {
		columns = nil
	}
	inspector, err := r.permit.Written(columns)
	if err != nil || inspector == nil {
		return err //nolint:wrapcheck // a refusal, for the client
	}
	if r.copy.Unclear != "" {
		return copyUnread(r.copy.Unclear)
	}
	if m.Binary != (r.copy.Format == pgfacts.CopyBinary) {
		return copyUnread("the target wants another format than was asked for")
	}
	r.incoming = copydata.NewIncoming(copydata.Format{
		Kind: copyKinds[r.copy.Format], Delimiter: r.copy.Delimiter, Quote: r.copy.Quote, Escape: r.copy.Escape,
	}, inspector.Look)
	return nil
}

// inspect looks at whole CopyData messages, and returns why they must not be
// forwarded, else nil.
func (r *run) inspect(block []byte) error {
	if r.incoming == nil {
		return nil
	}
	for len(block) > 0 {
		n := 1 + int(binary.BigEndian.Uint32(block[1:]))
		if err := r.incoming.Feed(block[5:n]); err != nil {
			return unreadData(err)
		}
		block = block[n:]
	}
	return nil
}

// copyEnds looks at what is left when the data ends.
func (r *run) copyEnds(with byte) error {
	if r.incoming == nil || with != wire.CopyDone {
		return nil
	}
	return unreadData(r.incoming.End())
}

// refuseCopy makes the COPY fail on the target, which keeps nothing of it then;
// its error is answered in the gateway's own words. What the client still sends
// is dropped, as a server does.
func (s *session) refuseCopy(cause error) error {
	reason := "gatestay " + rand.Text()
	s.endCopyIn(reason, cause)
	return s.write(wire.AppendCopyFail(nil, reason))
}

// copyUnseen refuses the data of a COPY that a rule let pass unread.
func copyUnseen() *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.ProtocolUnsupported, Message: "the gateway could not read this COPY, so its data does not pass",
		Hint: "Send the COPY by itself, in the syntax of PostgreSQL 17.",
	}
}

// copyUnread refuses data that has to be looked at and cannot be.
func copyUnread(why string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.MaskWrittenBack, Message: "the data of this COPY has to be searched for what masks have made, and cannot be read: " + why,
		Hint: "Send it in UTF8, with the usual options.",
	}
}

// unreadData is why data is refused: an inspector's reason, or that it cannot be
// read.
func unreadData(err error) error {
	var r *refusal.Refusal
	if err == nil || errors.As(err, &r) {
		return err
	}
	return copyUnread(err.Error())
}
