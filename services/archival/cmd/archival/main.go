// Command archival is Gatestay's service that keeps the audit.
package main

import (
	"os"

	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/archival"
)

func main() {
	os.Exit(service.Main("archival", archival.Help, func(p service.Process) (service.Runner, error) {
		return archival.New(p.Config, archival.Deps{Log: p.Log})
	}))
}
