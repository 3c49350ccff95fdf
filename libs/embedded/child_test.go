package embedded

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

const parentVariable = "GATESTAY_EMBEDDED_TEST_PARENT"

// parentRole is what TestMain does in the process that a test kills: it starts
// both servers, prints their addresses and waits.
func parentRole(dir string) {
	ctx := context.Background()
	ch, err := ClickHouse(ctx, ClickHouseOptions{Dir: dir + "/ch", Log: zerolog.Nop()})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	pg, err := PostgreSQL(ctx, PostgreSQLOptions{Dir: dir + "/pg", Log: zerolog.Nop()})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(ch.Native, pg.Address)
	select {}
}

func TestServersDieWithTheirParent(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addresses := strings.Fields(line)
	if err != nil || len(addresses) != 2 || addresses[0] == "error" {
		t.Fatalf("%q, %v", line, err)
	}
	for _, a := range addresses {
		if !answers(a) {
			t.Fatalf("%s does not answer before the kill", a)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for _, a := range addresses {
		for answers(a) {
			if time.Now().After(deadline) {
				t.Fatalf("%s still answers", a)
			}
		}
	}
}

func answers(address string) bool {
	conn, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	return conn.Close() == nil
}
