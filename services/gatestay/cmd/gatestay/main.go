// Command gatestay is the command line of Gatestay.
package main

import (
	"fmt"
	"os"

	"github.com/gatestay/gatestay/services/gatestay"
)

func main() {
	code, err := gatestay.Main()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatestay:", err)
	}
	os.Exit(code)
}
