// Command gatestay is the command line of Gatestay.
package main

import (
	"fmt"
	"os"

	"github.com/gatestay/gatestay/libs/embedded"
	"github.com/gatestay/gatestay/services/gatestay"
)

func main() {
	embedded.MaybeChild() // in the ClickHouse child process this never returns
	code, err := gatestay.Main()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatestay:", err)
	}
	os.Exit(code)
}
