// Command gateway is Gatestay's service in the data path.
package main

import (
	"os"
	"runtime"

	"github.com/gatestay/gatestay/libs/service"
	"github.com/gatestay/gatestay/services/gateway"
)

// ballast is never touched, so it takes no memory of the machine: it makes the
// garbage collector wait for that much more before it looks through a small
// heap. A busy gateway leaves little and drops much.
var ballast = make([]byte, 12<<20)

func main() {
	defer runtime.KeepAlive(ballast)
	os.Exit(service.Main("gateway", gateway.Help, func(p service.Process) (service.Runner, error) {
		return gateway.New(p.Config, gateway.Deps{Log: p.Log})
	}))
}
