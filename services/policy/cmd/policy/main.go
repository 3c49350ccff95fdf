// Command policy is Gatestay's service that owns the policy.
package main

import (
	"os"

	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/policy"
)

func main() {
	os.Exit(service.Main("policy", policy.Help, func(p service.Process) (service.Runner, error) {
		return policy.New(p.Config, policy.Deps{Log: p.Log})
	}))
}
