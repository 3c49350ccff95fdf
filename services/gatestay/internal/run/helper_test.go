package run

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/gatestay/gatestay/services/gatestay/internal/cli"
)

const helperVariable = "GATESTAY_TEST_HELPER"

// TestMain lets the test binary play the parts of other processes.
func TestMain(m *testing.M) {
	if part := os.Getenv(helperVariable); part != "" {
		os.Exit(play(part))
	}
	goleak.VerifyTestMain(m)
}

func play(part string) int {
	name, argument, _ := strings.Cut(part, ":")
	switch name {
	case "query": // one query over whatever PG* say
		return query(argument)
	case "many": // several connections at once
		return many()
	case "cancel":
		return cancelQuery()
	case "environ":
		for _, e := range os.Environ() {
			fmt.Println(e)
		}
		return 0
	case "exit":
		code, _ := strconv.Atoi(argument)
		return code
	case "die":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		<-time.After(10 * time.Second) // the signal ends us before
		return 0
	case "count": // counts a signal until TERM comes
		return count()
	case "knock": // at sockets of another user
		return knock(strings.Split(argument, ","))
	case "gatestay": // the whole command: argument is the child's part
		_ = os.Setenv(helperVariable, argument)
		return gatestay()
	default:
		return 99
	}
}

func connect(ctx context.Context) (*pgconn.PgConn, bool) {
	c, err := pgconn.Connect(ctx, "")
	if err != nil {
		fmt.Println("connect:", err)
		return nil, false
	}
	return c, true
}

func query(sql string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, ok := connect(ctx)
	if !ok {
		return 2
	}
	defer func() { _ = c.Close(ctx) }()
	results, err := c.Exec(ctx, sql).ReadAll()
	if err != nil || len(results) != 1 || len(results[0].Rows) != 1 {
		fmt.Println("query:", err)
		return 3
	}
	value := results[0].Rows[0][0]
	fmt.Printf("%d bytes: %.20s\n", len(value), value)
	return 0
}

func many() int {
	errs := make(chan int, 4)
	for range 4 {
		go func() { errs <- query("big") }()
	}
	worst := 0
	for range 4 {
		worst = max(worst, <-errs)
	}
	return worst
}

func cancelQuery() int {
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	c, ok := connect(ctx)
	if !ok {
		return 2
	}
	defer func() { _ = c.Close(ctx) }()
	done := make(chan error, 1)
	go func() {
		_, err := c.Exec(ctx, "hang").ReadAll()
		done <- err
	}()
	for {
		if err := c.CancelRequest(ctx); err != nil {
			fmt.Println("cancel:", err)
			return 4
		}
		select {
		case err := <-done:
			fmt.Println("ended:", err)
			return 0
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func knock(paths []string) int {
	for _, path := range paths {
		c, err := net.Dial("unix", path)
		if err != nil {
			fmt.Println(err)
			return 5
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = c.Write([]byte{0, 0, 0, 9, 0, 3, 0, 0, 0})
		n, _ := c.Read(make([]byte, 1))
		fmt.Printf("%s: %d bytes\n", path, n)
		_ = c.Close()
	}
	return 0
}

func count() int {
	signals := make(chan os.Signal, 100)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1)
	fmt.Println("counting")
	n := 0
	for s := range signals {
		if s == syscall.SIGTERM {
			break
		}
		n++
		fmt.Println("got", s)
	}
	fmt.Println("signals:", n)
	return 40 + n
}

func gatestay() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	env := cli.System()
	c := Command(env)
	c.SetArgs([]string{"prod-db", "--", os.Args[0]})
	err := c.ExecuteContext(ctx)
	if exit, ok := err.(cli.ExitError); ok { //nolint:errorlint // never wrapped here
		return int(exit)
	}
	if err != nil {
		fmt.Println(err)
		return 98
	}
	return 0
}
