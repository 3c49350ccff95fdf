package dev

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
)

// The ports that gatestay dev takes when they are free, so that a connection
// string stays good over restarts; else any free one.
const (
	portPostgres       = 6432
	portAPI            = 6440
	portApproval       = 6441
	portConsole        = 6442
	portIssuer         = 6443
	portSlack          = 6444
	portNATS           = 6445
	portClickHouse     = 6446
	portClickHouseHTTP = 6447
	portSample         = 6448
)

// preferred returns the loopback address of a port that is free now, or "".
func preferred(port int) string {
	address := fmt.Sprintf("127.0.0.1:%d", port)
	l, err := net.Listen("tcp", address)
	if err != nil {
		return ""
	}
	_ = l.Close()
	return address
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func randomHex() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
