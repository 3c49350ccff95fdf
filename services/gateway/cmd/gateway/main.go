// Command gateway is Gatestay's service in the data path.
package main

import (
	"os"

	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/gateway"
)

func main() {
	os.Exit(service.Main("gateway", gateway.Help, func(p service.Process) (service.Runner, error) {
		return gateway.New(p.Config, gateway.Deps{Log: p.Log})
	}))
}
