package wire_test

import (
	"bytes"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// FuzzDecode gives any body to every decoder: none panics, none makes more of
// it than is there, and what pgproto3 reads of it is the same.
func FuzzDecode(f *testing.F) {
	for _, m := range []encoder{
		&pgproto3.Query{String: "SELECT 1"}, &pgproto3.Parse{Name: "n", Query: "q", ParameterOIDs: []uint32{23}},
		&pgproto3.Bind{Parameters: [][]byte{[]byte("x"), nil}, ParameterFormatCodes: []int16{1}, ResultFormatCodes: []int16{0}},
		&pgproto3.Describe{ObjectType: 'S', Name: "x"}, &pgproto3.Execute{Portal: "p", MaxRows: 3},
		&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("a")}}}, &pgproto3.DataRow{Values: [][]byte{[]byte("a"), nil}},
		&pgproto3.ErrorResponse{Severity: "ERROR", Message: "m"}, &pgproto3.CommandComplete{CommandTag: []byte("SELECT 5")},
		&pgproto3.ParameterStatus{Name: "n", Value: "v"}, &pgproto3.NotificationResponse{PID: 1, Channel: "c", Payload: "p"},
		&pgproto3.CopyOutResponse{OverallFormat: 1, ColumnFormatCodes: []uint16{1, 1}},
		&pgproto3.FunctionCall{Function: 957, ArgFormatCodes: []uint16{1, 0}, Arguments: [][]byte{[]byte("x"), nil}, ResultFormatCode: 1},
		&pgproto3.FunctionCallResponse{Result: []byte("r")},
	} {
		f.Add(body(f, m))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if text, err := wire.DecodeQuery(src); err == nil && len(text) != len(src)-1 {
			t.Error("Query: not the whole text")
		}
		var parse wire.ParseMessage
		if parse.Decode(src) == nil && len(parse.Name)+len(parse.Text)+4*len(parse.Types)+4 != len(src) {
			t.Error("Parse: lengths do not add up")
		}
		fuzzBind(t, src)
		fuzzCall(t, src)
		fuzzRow(t, src)
		_, _, _ = wire.DecodeTarget(src)
		_, _, _ = wire.DecodeExecute(src)
		_, _ = wire.DecodeRowDescription(src)
		_, _ = wire.DecodeParameterDescription(src)
		_, _ = wire.DecodePassword(src)
		_, _, _ = wire.DecodeSASLInitialResponse(src)
		_, _, _ = wire.DecodeParameterStatus(src)
		_, _ = wire.DecodeNotification(src)
		_, _, _ = wire.DecodeCommandComplete(src)
		_, _ = wire.DecodeReadyForQuery(src)
		if m, err := wire.DecodeCopyResponse(src); err == nil && len(src) != 3+2*len(m.Formats) {
			t.Error("CopyResponse: lengths do not add up")
		}
		if r, err := wire.DecodeReport(src); err == nil {
			again, err := wire.DecodeReport(wire.AppendReport(nil, wire.ErrorResponse, r)[5:])
			if err != nil || again.Get(wire.FieldMessage) != r.Get(wire.FieldMessage) {
				t.Errorf("Report: %v, %v", again, err)
			}
		}
		s := wire.Startup{Body: src}
		_, _ = s.Settings()
		_, _, _ = s.Cancel()
	})
}

func fuzzBind(t *testing.T, src []byte) {
	var m wire.BindMessage
	if m.Decode(src) != nil {
		return
	}
	var theirs pgproto3.Bind
	if err := theirs.Decode(src); err != nil {
		return
	}
	if string(m.Portal) != theirs.DestinationPortal || string(m.Statement) != theirs.PreparedStatement || len(m.Values) != len(theirs.Parameters) {
		t.Errorf("Bind: %+v, %+v", m, theirs)
		return
	}
	for i := range m.Values {
		if !bytes.Equal(m.Values[i], theirs.Parameters[i]) || (m.Values[i] == nil) != (theirs.Parameters[i] == nil) {
			t.Errorf("Bind: value %d: %q, %q", i, m.Values[i], theirs.Parameters[i])
		}
	}
}

func fuzzCall(t *testing.T, src []byte) {
	if v, err := wire.DecodeFunctionCallResponse(src); err == nil && len(v)+4 != len(src) {
		t.Error("FunctionCallResponse: not the whole value")
	}
	var m wire.FunctionCallMessage
	if m.Decode(src) != nil {
		return
	}
	if again := m.Append(nil)[5:]; !bytes.Equal(again, src) {
		t.Errorf("FunctionCall: %q became %q", src, again)
	}
}

func fuzzRow(t *testing.T, src []byte) {
	cells, err := wire.DecodeDataRow(nil, src)
	if err != nil {
		return
	}
	if again := wire.AppendDataRow(nil, cells)[5:]; !bytes.Equal(again, src) {
		t.Errorf("DataRow: %q became %q", src, again)
	}
}

// FuzzReader frames any stream, whole and byte by byte: the same comes out.
func FuzzReader(f *testing.F) {
	f.Add([]byte("Q\x00\x00\x00\x0dSELECT 1\x00S\x00\x00\x00\x04"))
	f.Add([]byte("D\x00\x00\x00\x06\x00\x00D\x00\x00\x00\x03"))
	f.Add([]byte{'Q', 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		whole, slow := frames(wire.NewReader(bytes.NewReader(stream))), frames(wire.NewReader(&chopped{src: stream, sizes: []int{1}}))
		if !bytes.Equal(whole, slow) {
			t.Errorf("%q, %q", whole, slow)
		}
	})
}

func frames(r *wire.Reader) []byte {
	var out []byte
	for {
		h, err := r.Next()
		if err != nil {
			return out
		}
		m, err := r.Message(h, 1<<16)
		if err != nil {
			return append(out, '!')
		}
		out = append(out, m...)
	}
}

// FuzzBearer reads any first word: what is taken for a token is in it, and looks
// like one.
func FuzzBearer(f *testing.F) {
	f.Add([]byte("n,,\x01auth=Bearer abc.def~-_+/==\x01\x01"))
	f.Add([]byte("y,,\x01host=x\x01auth=\x01\x01"))
	f.Fuzz(func(t *testing.T, src []byte) {
		token, err := wire.DecodeBearer(src)
		if err != nil && token != "" || !bytes.Contains(src, []byte(token)) || bytes.ContainsAny([]byte(token), "\x00\x01 ,\n") {
			t.Errorf("%q, %v", token, err)
		}
	})
}

// FuzzStartup reads any first packet.
func FuzzStartup(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x12\x00\x03\x00\x00user\x00u\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := wire.ReadStartup(bytes.NewReader(raw))
		if err != nil {
			return
		}
		list, err := s.Settings()
		if err != nil {
			return
		}
		n := 1
		for _, p := range list {
			if p.Name == "" {
				t.Error("an empty name")
			}
			n += len(p.Name) + len(p.Value) + 2
		}
		if n != len(s.Body) {
			t.Error("bytes were passed over")
		}
	})
}
