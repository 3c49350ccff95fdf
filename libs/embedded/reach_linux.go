package embedded

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Capabilities that let a process read and walk where it has no permission.
const (
	capDACOverride   = 1
	capDACReadSearch = 2
)

// grantReach lets an unprivileged child walk into folders that only root may
// enter, such as /root/.cache or a test's temporary folder. It takes the lesser
// capability where this process has it.
func grantReach(attr *syscall.SysProcAttr) {
	have := permitted()
	for _, c := range []uintptr{capDACReadSearch, capDACOverride} {
		if have&(1<<c) != 0 {
			attr.AmbientCaps = []uintptr{c}
			return
		}
	}
}

func permitted() (set uint64) {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		if hex, ok := strings.CutPrefix(s.Text(), "CapPrm:"); ok {
			_, _ = fmt.Sscanf(strings.TrimSpace(hex), "%x", &set)
		}
	}
	return set
}
