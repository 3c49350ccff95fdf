package service

import (
	"net/http"
	"os"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/gatestay/gatestay/libs/loopback"
)

// ProfileVariable is the environment variable that, set to 1, opens
// /debug/pprof/ on the health address. It is off otherwise: a profile says what
// a process is doing, and taking one costs it CPU. The formats are those of
// net/http/pprof, which is not used since it registers itself globally.
const ProfileVariable = "GATESTAY_PROFILE"

const longestProfile = 60 // seconds

func mountProfiles(mux *http.ServeMux) {
	if os.Getenv(ProfileVariable) != "1" {
		return
	}
	mux.HandleFunc("GET /debug/pprof/profile", loopback.Guard(func(w http.ResponseWriter, r *http.Request) {
		seconds, err := strconv.Atoi(r.FormValue("seconds"))
		if err != nil || seconds < 1 || seconds > longestProfile {
			http.Error(w, "seconds: 1 to "+strconv.Itoa(longestProfile), http.StatusBadRequest)
			return
		}
		if err := pprof.StartCPUProfile(w); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		defer pprof.StopCPUProfile()
		select {
		case <-time.After(time.Duration(seconds) * time.Second):
		case <-r.Context().Done():
		}
	}))
	mux.HandleFunc("GET /debug/pprof/{name}", loopback.Guard(func(w http.ResponseWriter, r *http.Request) {
		p := pprof.Lookup(r.PathValue("name"))
		if p == nil {
			http.NotFound(w, r)
			return
		}
		_ = p.WriteTo(w, 0)
	}))
}
