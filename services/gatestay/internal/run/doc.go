// Package run is 'gatestay run': it exchanges a job's token for a run-bound
// credential, gives a child process a private way to the gateway, and ends the
// run with the child.
//
//	child ──plain, private socket──▶ gatestay run ──TLS, verified──▶ gateway
//
// The child never sees a credential: the proxy answers the gateway's demand for
// a password itself and then copies bytes both ways. It reads exactly the frames
// of the start-up phase, byte for byte, so that nothing that follows them is
// lost in a buffer, and hands them to pgproto3 to be understood.
package run
