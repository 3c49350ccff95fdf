package bench

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSeries(t *testing.T) {
	s := &series{name: "x", unit: "ms", samples: []float64{5, 1, 3}}
	if got := s.cell(); got != "3.00 (1.00–5.00)" {
		t.Errorf("cell is %q", got)
	}
	if got := s.result(); got != (Result{"x", 3, "ms"}) {
		t.Errorf("result is %+v", got)
	}
	var none *series
	if got := none.cell(); got != "—" {
		t.Errorf("nothing measured is %q", got)
	}
	many := &series{}
	for i := range 100 {
		many.add(float64(i))
	}
	if got := many.quantile(0.99); got != 99 {
		t.Errorf("p99 of 0…99 is %v", got)
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{3.14: "3.14", 999: "999", 1000: "1,000", 1234567.8: "1,234,568"} {
		if got := number(v); got != want {
			t.Errorf("%v is %q, want %q", v, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		selectName("prepared", 16, "gateway", false): "postgres/select/prepared/16/gateway",
		selectName("simple", 1, "direct", true):      "postgres/select/simple/1/direct/tls",
		cpuName("simple", 1, "splice", true):         "postgres/select/simple/1/splice/tls/cpu",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSpliceForwardsBothWaysAndHalfCloses(t *testing.T) {
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = target.Close() }()
	go func() { // answers once the request is over
		c, err := target.Accept()
		if err != nil {
			return
		}
		request, _ := io.ReadAll(c)
		_, _ = c.Write(append([]byte("re: "), request...))
		_ = c.Close()
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- (&Splice{Target: target.Addr().String()}).Serve(front) }()

	c, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Write([]byte("hello"))
	_ = c.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil || string(answer) != "re: hello" {
		t.Errorf("got %q, %v", answer, err)
	}
	_ = front.Close()
	<-ended
}

func TestCPUTimeGrowsWithWork(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		now, err := cpuTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now > before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %s of CPU after ten seconds of work", now)
		}
	}
}

func TestWatchProgress(t *testing.T) {
	clock := time.Duration(0)
	said := strings.NewReader("pgbench: a complaint\nprogress: 1.0 s, 900.0 tps, lat 1 ms\nprogress: 2.0 s, 1000.0 tps, lat 1 ms\nprogress: 3.5 s, 2000.0 tps, lat 1 ms\n")
	each, rest, err := watchProgress(said, func() (time.Duration, error) { clock += 100 * time.Millisecond; return clock, nil })
	if want := 50 * time.Microsecond; err != nil || each != want || !strings.Contains(rest, "a complaint") {
		t.Errorf("%s, %q, %v; want %s for 4000 transactions in 200 ms", each, rest, err, want)
	}
}

func TestGoals(t *testing.T) {
	var out strings.Builder
	tb, err := newTable(Options{}, &out)
	if err != nil {
		t.Fatal(err)
	}
	for name, samples := range map[string][]float64{
		"postgres/select/prepared/16/gateway": {90, 100, 50}, "postgres/select/prepared/16/splice": {100, 100, 100},
		"postgres/select/prepared/16/gateway+masking": {1, 1, 1}, "records/lost": {0},
	} {
		for _, v := range samples {
			tb.at(name, "").add(v)
		}
	}
	printGoals(tb)
	for _, want := range []string{"prepared/16/gateway | splice | 0.90 | ≥ 1.00 | not met", "records/lost |  | 0 | ≤ 0 | met"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}
