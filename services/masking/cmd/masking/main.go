// Command masking is Gatestay's service that owns the masking rules and looks at
// every record a second time.
package main

import (
	"os"

	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/masking"
)

func main() {
	os.Exit(service.Main("masking", masking.Help, func(p service.Process) (service.Runner, error) {
		return masking.New(p.Config, masking.Deps{Log: p.Log})
	}))
}
