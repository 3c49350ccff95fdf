// Command approval is Gatestay's service that asks people.
package main

import (
	"os"

	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/approval"
)

func main() {
	os.Exit(service.Main("approval", approval.Help, func(p service.Process) (service.Runner, error) {
		return approval.New(p.Config, approval.Deps{Log: p.Log})
	}))
}
