// Command bench measures Gatestay against direct connections, pgbouncer and a
// bare splice, prints Markdown tables and leaves the figures in a JSON file.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"github.com/gatestay/gatestay/e2e/bench"
	"github.com/gatestay/gatestay/libs/embedded"
)

func main() {
	embedded.MaybeChild()
	var err error
	if len(os.Args) > 1 && os.Args[1] == "splice" {
		err = splice(os.Args[2:])
	} else {
		err = run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	o := bench.Options{Log: func(line string) { fmt.Fprintln(os.Stderr, "bench:", line) }}
	var output, clients string
	flag.StringVar(&o.Bin, "bin", "", "folder of the built binaries; default: build them")
	flag.StringVar(&output, "output", "build/bench.json", "where to leave the figures")
	flag.IntVar(&o.Rounds, "rounds", 3, "rounds; a figure is their median")
	flag.IntVar(&o.Seconds, "seconds", 2, "seconds of each measurement in a round")
	flag.StringVar(&clients, "clients", "1,16,64", "clients at once")
	flag.IntVar(&o.Holds, "holds", 100, "clicks to time")
	flag.IntVar(&o.Records, "records", 100_000, "records to archive a round")
	flag.StringVar(&o.Only, "only", "", "some of "+strings.Join(bench.Parts(), ",")+"; default: all")
	flag.StringVar(&o.Match, "match", "", "measure only figures whose name matches this pattern, e.g. 'prepared/16/(splice|gateway)$'")
	flag.StringVar(&o.Profile, "profile", "", "measure nothing: take a CPU profile of the gateway under the first load that --only and --match name, and leave it in this file (allocations beside it)")
	flag.Parse()
	for _, c := range strings.Split(clients, ",") {
		n, err := strconv.Atoi(c)
		if err != nil || n < 1 {
			return fmt.Errorf("--clients %q: numbers with commas between, e.g. 1,16,64", clients)
		}
		o.Clients = append(o.Clients, n)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	results, err := bench.Run(ctx, os.Stdout, o)
	if err != nil {
		return err
	}
	if err := bench.Write(output, results); err != nil {
		return err
	}
	fmt.Printf("\n%d figures in %s\n", len(results), output)
	return nil
}

// splice is the bare proxy, in this process: ADDRESS TARGET RECORDS [CERTIFICATE
// KEY CA]. RECORDS is the folder that it records in, empty for none.
func splice(a []string) error {
	l, err := net.Listen("tcp", a[0])
	if err != nil {
		return err
	}
	s := &bench.Splice{Target: a[1]}
	if a[2] != "" {
		if s.Recorder, err = bench.NewRecorder(a[2]); err != nil {
			return err
		}
	}
	if len(a) < 6 {
		return s.Serve(l)
	}
	pair, err := tls.LoadX509KeyPair(a[3], a[4])
	if err != nil {
		return err
	}
	pem, err := os.ReadFile(a[5])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return errors.New("no certificate in " + a[5])
	}
	s.Server = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	s.Client = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	return s.Serve(l)
}
