package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"pgregory.net/rapid"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// encoder is pgproto3's side of the comparison.
type encoder interface {
	Encode(dst []byte) ([]byte, error)
}

func body(t testing.TB, m encoder) []byte {
	t.Helper()
	b, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b[5:]
}

func TestDecodersAgreeWithPgproto3(t *testing.T) {
	t.Run("Query", func(t *testing.T) {
		got, err := wire.DecodeQuery(body(t, &pgproto3.Query{String: "SELECT 'ä'"}))
		if err != nil || string(got) != "SELECT 'ä'" {
			t.Error(got, err)
		}
	})
	t.Run("Parse", func(t *testing.T) {
		var m wire.ParseMessage
		err := m.Decode(body(t, &pgproto3.Parse{Name: "n", Query: "q", ParameterOIDs: []uint32{23, 0}}))
		if err != nil || string(m.Name) != "n" || string(m.Text) != "q" || !reflect.DeepEqual(m.Types, []uint32{23, 0}) {
			t.Error(m, err)
		}
	})
	t.Run("Bind", func(t *testing.T) {
		var m wire.BindMessage
		err := m.Decode(body(t, &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s", ParameterFormatCodes: []int16{0, 1, 0}, Parameters: [][]byte{[]byte("x"), nil, {}}, ResultFormatCodes: []int16{1}}))
		want := wire.BindMessage{Portal: []byte("p"), Statement: []byte("s"), ParameterFormats: []int16{0, 1, 0}, Values: [][]byte{[]byte("x"), nil, {}}, ResultFormats: []int16{1}}
		if err != nil || !reflect.DeepEqual(m, want) {
			t.Errorf("%+v, %v", m, err)
		}
	})
	t.Run("RowDescription", func(t *testing.T) {
		got, err := wire.DecodeRowDescription(body(t, &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
			{Name: []byte("a"), TableOID: 16385, TableAttributeNumber: 3, DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1, Format: 1},
		}}))
		if err != nil || !reflect.DeepEqual(got, []wire.Column{{Name: "a", Table: 16385, Number: 3, Type: 25, Format: 1}}) {
			t.Error(got, err)
		}
	})
	t.Run("ErrorResponse", func(t *testing.T) {
		got, err := wire.DecodeReport(body(t, &pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "22012", Message: "m", Detail: "d", Hint: "h", Position: 3}))
		if err != nil || got.Get(wire.FieldCode) != "22012" || got.Get(wire.FieldMessage) != "m" || got.Get(wire.FieldDetail) != "d" || got.Get('P') != "3" || got.Get('x') != "" {
			t.Error(got, err)
		}
	})
	t.Run("StartupMessage", func(t *testing.T) {
		raw, err := (&pgproto3.StartupMessage{ProtocolVersion: wire.Version30, Parameters: map[string]string{"user": "u"}}).Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		s, err := wire.ReadStartup(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Settings()
		if err != nil || s.Code != wire.Version30 || !reflect.DeepEqual(list, []wire.Setting{{Name: "user", Value: "u"}}) {
			t.Error(list, err)
		}
	})
	t.Run("CommandComplete", func(t *testing.T) {
		for tag, want := range map[string]int64{"SELECT 5": 5, "INSERT 0 12": 12, "BEGIN": 0, "CREATE TABLE": 0, "SELECT 99999999999999999999999": 0, "": 0, "7": 0, "MERGE 1000000": 1000000} {
			_, rows, err := wire.DecodeCommandComplete(body(t, &pgproto3.CommandComplete{CommandTag: []byte(tag)}))
			if err != nil || rows != want {
				t.Errorf("%q: %d, %v", tag, rows, err)
			}
		}
	})
}

func TestEncodersAgreeWithPgproto3(t *testing.T) {
	for name, c := range map[string]struct {
		got  []byte
		want encoder
	}{
		"Query":                  {wire.AppendQuery(nil, "q"), &pgproto3.Query{String: "q"}},
		"Parse":                  {wire.AppendParse(nil, "n", "q"), &pgproto3.Parse{Name: "n", Query: "q"}},
		"Bind":                   {wire.AppendBind(nil, "p", "s"), &pgproto3.Bind{DestinationPortal: "p", PreparedStatement: "s"}},
		"Describe":               {wire.AppendTarget(nil, wire.Describe, wire.Portal, "p"), &pgproto3.Describe{ObjectType: 'P', Name: "p"}},
		"Close":                  {wire.AppendTarget(nil, wire.Close, wire.Statement, "s"), &pgproto3.Close{ObjectType: 'S', Name: "s"}},
		"Execute":                {wire.AppendExecute(nil, "p"), &pgproto3.Execute{Portal: "p"}},
		"Sync":                   {wire.AppendEmpty(nil, wire.Sync), &pgproto3.Sync{}},
		"FunctionCall":           {(&wire.FunctionCallMessage{Function: 7, Formats: []int16{1}, Arguments: [][]byte{[]byte("a"), nil, {}}, Result: 1}).Append(nil), &pgproto3.FunctionCall{Function: 7, ArgFormatCodes: []uint16{1}, Arguments: [][]byte{[]byte("a"), nil, {}}, ResultFormatCode: 1}},
		"CancelRequest":          {wire.AppendCancel(nil, 7, []byte{1, 2, 3, 4}), &pgproto3.CancelRequest{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}}},
		"SSLRequest":             {wire.AppendCode(nil, wire.CodeSSL), &pgproto3.SSLRequest{}},
		"ReadyForQuery":          {wire.AppendReadyForQuery(nil, 'T'), &pgproto3.ReadyForQuery{TxStatus: 'T'}},
		"ParameterStatus":        {wire.AppendParameterStatus(nil, "n", "v"), &pgproto3.ParameterStatus{Name: "n", Value: "v"}},
		"BackendKeyData":         {wire.AppendBackendKeyData(nil, 7, []byte{1, 2, 3, 4}), &pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}}},
		"AuthenticationOk":       {wire.AppendAuthenticationOK(nil), &pgproto3.AuthenticationOk{}},
		"CleartextPassword":      {wire.AppendCleartextPassword(nil), &pgproto3.AuthenticationCleartextPassword{}},
		"NotificationResponse":   {wire.AppendNotification(nil, wire.Notification{PID: 7, Channel: "c", Payload: "p"}), &pgproto3.NotificationResponse{PID: 7, Channel: "c", Payload: "p"}},
		"DataRow":                {wire.AppendDataRow(nil, [][]byte{[]byte("a"), nil, {}}), &pgproto3.DataRow{Values: [][]byte{[]byte("a"), nil, {}}}},
		"ErrorResponse":          {wire.AppendReport(nil, wire.ErrorResponse, wire.Report{{Code: 'S', Value: "ERROR"}, {Code: 'C', Value: "1"}, {Code: 'M', Value: "m"}, {Code: 'D'}}), &pgproto3.ErrorResponse{Severity: "ERROR", Code: "1", Message: "m"}},
		"AuthenticationSASL":     {wire.AppendSASL(nil, "A", "B"), &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"A", "B"}}},
		"AuthenticationSASLCont": {wire.AppendSASLContinue(nil, []byte("more")), &pgproto3.AuthenticationSASLContinue{Data: []byte("more")}},
		"NegotiateProtocolVersi": {wire.AppendNegotiateVersion(nil, wire.Version32, []string{"_pq_.x"}), &pgproto3.NegotiateProtocolVersion{NewestMinorProtocol: wire.Version32, UnrecognizedOptions: []string{"_pq_.x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := c.want.Encode(nil)
			if err != nil || !bytes.Equal(c.got, want) {
				t.Errorf("got %q, want %q, %v", c.got, want, err)
			}
		})
	}
}

func TestReaderRefusesLengths(t *testing.T) {
	for name, raw := range map[string][]byte{"three": {'Q', 0, 0, 0, 3}, "zero": {'Q', 0, 0, 0, 0}, "negative": {'Q', 0xff, 0xff, 0xff, 0xff}, "2^31": {'Q', 0x80, 0, 0, 0}} {
		t.Run(name, func(t *testing.T) {
			if _, err := wire.NewReader(bytes.NewReader(raw)).Next(); !errors.Is(err, wire.ErrMalformed) {
				t.Error(err)
			}
		})
	}
	r := wire.NewReader(bytes.NewReader([]byte{'Q', 0, 0, 1, 0}))
	h, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	var long *wire.TooLongError
	if _, err := r.Body(h, 251); !errors.As(err, &long) || long.Length != 252 {
		t.Error(err)
	}
	if _, err := r.Body(h, 252); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

// TestReaderBelievesNoLength claims two gigabytes: nothing near that is
// allocated before the bytes are there.
func TestReaderBelievesNoLength(t *testing.T) {
	raw := append([]byte{'Q', 0x7f, 0xff, 0xff, 0xff}, make([]byte, 1000)...)
	allocated := testing.AllocsPerRun(1, func() {
		r := wire.NewReader(bytes.NewReader(raw))
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Body(h, 1<<31); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
	if allocated > 20 {
		t.Errorf("%v allocations", allocated)
	}
}

// TestReaderAnySplit reads the same messages however the bytes arrive.
func TestReaderAnySplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var want []string
		for range rapid.IntRange(1, 20).Draw(t, "messages") {
			typ := rapid.SampledFrom([]byte("DDDDTCZ")).Draw(t, "type")
			size := rapid.SampledFrom([]int{0, 1, 5, 100, 5000, 70_000, 200_000}).Draw(t, "size")
			m := wire.AppendMessage(nil, typ, bytes.Repeat([]byte{typ}, size))
			stream = append(stream, m...)
			want = append(want, string(m))
		}
		src := &chopped{src: stream, sizes: rapid.SliceOfN(rapid.SampledFrom([]int{1, 2, 3, 5, 7, 100, 4096, 65536, 1 << 20}), 1, 50).Draw(t, "reads")}
		r := wire.NewReader(src)
		var got []string
		for {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch rapid.SampledFrom([]string{"frames", "message", "stream"}).Draw(t, "how") {
			case "frames":
				if block, n := r.Frames('D', rapid.IntRange(1, 5).Draw(t, "most")); n > 0 {
					for range n {
						size := 1 + int(binary.BigEndian.Uint32(block[1:]))
						got = append(got, string(block[:size]))
						block = block[size:]
					}
					continue
				}
				fallthrough
			case "message":
				m, err := r.Message(h, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, string(m))
			case "stream":
				var b strings.Builder
				if err := r.Stream(h, func(p []byte) error { b.Write(p); return nil }); err != nil {
					t.Fatal(err)
				}
				got = append(got, b.String())
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%d messages, want %d", len(got), len(want))
		}
	})
}

type chopped struct {
	src   []byte
	sizes []int
	n     int
}

func (c *chopped) Read(p []byte) (int, error) {
	if len(c.src) == 0 {
		return 0, io.EOF
	}
	n := min(len(p), len(c.src), c.sizes[c.n%len(c.sizes)])
	c.n++
	copy(p, c.src[:n])
	c.src = c.src[n:]
	return n, nil
}

func TestReaderAhead(t *testing.T) {
	stream := slicesOf(wire.AppendQuery(nil, "first"), wire.AppendEmpty(nil, wire.Sync), wire.AppendEmpty(nil, wire.Terminate))
	r := wire.NewReader(&chopped{src: stream, sizes: []int{11, 3, 4}})
	h, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.Message(h, 100)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := r.Ahead(100); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first, wire.AppendQuery(nil, "first")) {
		t.Error("what was returned before has changed")
	}
	var types []byte
	r.Waiting(func(typ byte) bool { types = append(types, typ); return true })
	if string(types) != "SX" {
		t.Errorf("waiting: %q", types)
	}
	for _, want := range "SX" {
		h, err := r.Next()
		if err != nil || h.Type != byte(want) {
			t.Fatal(h, err)
		}
		if _, err := r.Body(h, 0); err != nil {
			t.Fatal(err)
		}
	}
	if more, err := r.Ahead(0); more || err != nil {
		t.Error("read beyond the bound")
	}
}

func slicesOf(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestWriterKeepsOrder(t *testing.T) {
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	var want []byte
	for i := range 200 {
		block := bytes.Repeat([]byte{byte(i)}, i*i)
		want = append(want, block...)
		switch i % 3 {
		case 0:
			_, _ = w.Write(block)
		case 1:
			_ = w.Append(func(dst []byte) []byte { return append(dst, block...) })
		case 2:
			_ = w.Exclusive(func(write func([]byte) error) error {
				for _, b := range block {
					if err := write([]byte{b}); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	if err := w.Flush(); err != nil || !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%v, %d bytes, want %d", err, out.Len(), len(want))
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriterErrorSticks(t *testing.T) {
	w := wire.NewWriter(broken{})
	if _, err := w.Write([]byte("x")); err != nil {
		t.Error("nothing was written yet")
	}
	for range 2 {
		if err := w.Flush(); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
	}
	if _, err := w.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}
