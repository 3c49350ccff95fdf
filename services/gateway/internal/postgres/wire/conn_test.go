package wire_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/gatestay/gatestay/services/gateway/internal/postgres/wire"
)

// While more is there already nobody is told to write: what came is passed on in
// one piece. Before the Reader waits, it is.
func TestConnTellsBeforeItWaits(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = far.Close() }()
	near, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()

	row := wire.AppendDataRow(nil, [][]byte{bytes.Repeat([]byte("x"), 1000)})
	const rows = 60
	if _, err := far.Write(bytes.Repeat(row, rows)); err != nil {
		t.Fatal(err)
	}
	told := 0
	r := wire.NewReader(wire.NewConn(near))
	seen := 0
	r.BeforeRead = func() error {
		told++
		if seen == rows { // only now more is sent: whoever waits without a word waits forever
			_ = far.Close()
		}
		return nil
	}
	for {
		h, err := r.Next()
		if err == io.EOF || err != nil && seen == rows { //nolint:errorlint // any end will do
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Body(h, wire.MaxBuffer); err != nil {
			t.Fatal(err)
		}
		seen++
	}
	if seen != rows || told == 0 || told > 10 {
		t.Errorf("%d rows of %d, told %d times", seen, rows, told)
	}
}
