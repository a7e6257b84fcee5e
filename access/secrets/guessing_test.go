package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

func TestGuesserIsPausedUpToAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 0)
		d := newLoginClient(t)
		n := 0
		guess := func() error { n++; return d.login("192.0.2.1", "ann", "wrong "+strconv.Itoa(n)) }
		for range 5 {
			require.Equal(t, transport.ErrWrongCredentials, guess())
		}
		for i, pause := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			pause *= time.Second
			before := made.Load()
			require.Equal(t, pause, slowed(t, guess()), i)
			require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "ann", "wrong 1"), "a repeated secret is not counted")
			require.NoError(t, d.show("192.0.2.1", d.token), "a token that cannot be guessed is accepted, and changes nothing")
			require.Equal(t, before, made.Load())
			require.NoError(t, d.login("192.0.2.2", "ann", "correct horse"), "another address")
			time.Sleep(pause - time.Nanosecond)
			require.Equal(t, time.Nanosecond, slowed(t, guess()))
			time.Sleep(time.Nanosecond)
			if i == 4 {
				require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"), "a right claim does not shorten the pauses")
			}
			require.Equal(t, transport.ErrWrongCredentials, guess())
		}
		time.Sleep(6*time.Minute - time.Nanosecond)
		require.Equal(t, transport.ErrWrongCredentials, guess())
		require.Equal(t, time.Minute, slowed(t, guess()), "the pauses are remembered")

		time.Sleep(6 * time.Minute)
		for range 5 {
			require.Equal(t, transport.ErrWrongCredentials, guess())
		}
		require.Equal(t, time.Second, slowed(t, guess()), "the pauses are forgotten")
	})
}

func TestFourFailuresInFiveMinutesStartNoPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		d := newLoginClient(t)
		for i := range 100 {
			require.Equal(t, transport.ErrWrongCredentials, d.show("192.0.2.1", "rpt_ci_wrong"+strconv.Itoa(i)))
			time.Sleep(75 * time.Second)
		}
		time.Sleep(time.Hour)
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "", "correct horse"))
		require.Equal(t, transport.ErrWrongCredentials, d.show("192.0.2.1", "rpt_ci_wrong"))
		addresses, _ := d.Remembered()
		require.Equal(t, 1, addresses)
	})
}

func TestAddressOfAClientIsItsIPv4AddressOrIPv6Network(t *testing.T) {
	for _, test := range []struct {
		from net.Addr
		is   string
	}{
		{from("192.0.2.1"), "192.0.2.1"},
		{from("::ffff:192.0.2.1"), "192.0.2.1"},
		{&net.UDPAddr{IP: net.ParseIP("192.0.2.1")}, "192.0.2.1"},
		{from("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::"},
		{&net.IPAddr{IP: net.ParseIP("192.0.2.1")}, "192.0.2.1"},
		{from("::1"), "::"},
		{nil, "invalid IP"},
		{(*net.TCPAddr)(nil), "invalid IP"},
		{&net.TCPAddr{}, "invalid IP"},
		{&net.UnixAddr{Name: "@", Net: "unix"}, "invalid IP"},
		{&net.UnixAddr{}, "invalid IP"},
	} {
		require.Equal(t, test.is, secrets.Origin(test.from).String(), "%v", test.from)
	}
	require.NotEqual(t, netip.Addr{}, secrets.Origin(from("::1")))
}

func TestNumberOfAddressRecordsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		d := newLoginClient(t)
		for i := range 2 * secrets.MaxAddresses {
			ip := fmt.Sprintf("10.0.%d.%d", i/256, i%256)
			require.Equal(t, transport.ErrWrongCredentials, d.show(ip, "rpt_ci_wrong"))
		}
		addresses, _ := d.Remembered()
		require.Equal(t, secrets.MaxAddresses, addresses)
	})
}

// No more claims of one address are verified at a time than may fail. A limited number waits for their results, and the
// rest is refused.
func TestConcurrentGuessesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, peak := secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		made.Store(0)
		var wrong, slow atomic.Int64
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				err := d.login("192.0.2.1", "ann", "wrong "+strconv.Itoa(i))
				if errors.Is(err, transport.ErrWrongCredentials) {
					wrong.Add(1)
				} else {
					slowed(t, err)
					slow.Add(1)
				}
			})
		}
		start := time.Now()
		require.NoError(t, d.login("192.0.2.2", "ann", "correct horse"))
		require.Less(t, time.Since(start), time.Second)
		all.Wait()
		require.Equal(t, int64(5), wrong.Load())
		require.Equal(t, int64(995), slow.Load())
		require.Equal(t, int64(6), made.Load())
		require.Equal(t, int64(1), peak.Load(), "one at a time")
	})
}

// Concurrent claims of one address with the same right password cost one hash.
func TestConcurrentLoginsShareOneHash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		made.Store(0)
		var all sync.WaitGroup
		for range 5 + secrets.MaxQueued {
			all.Go(func() { require.NoError(t, d.login("192.0.2.1", "ann", "correct horse")) })
		}
		all.Wait()
		require.Equal(t, int64(1), made.Load())
		addresses, cached := d.Remembered()
		require.Equal(t, 1, addresses)
		require.Equal(t, 1, cached)
	})
}

// When more addresses guess than may wait for a hash, the rest is refused with SlowDownError. A claim that waits ends
// with its context.
func TestGuessesFromManyAddressesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		var wrong, slow atomic.Int64
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				err := d.login(fmt.Sprintf("192.0.2.%d", i), "ann", "wrong")
				if errors.Is(err, transport.ErrWrongCredentials) {
					wrong.Add(1)
				} else {
					require.Equal(t, 2*time.Second, slowed(t, err))
					slow.Add(1)
				}
			})
		}
		synctest.Wait()
		time.Sleep(60 * time.Millisecond) // one more claim may wait
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := d.Authenticate(ctx, transport.Claim{User: "ann", Password: "correct horse"})
		require.Equal(t, context.DeadlineExceeded, err)
		all.Wait()
		require.Equal(t, int64(1+secrets.MaxWaiting), wrong.Load())
		require.Equal(t, int64(200-1-secrets.MaxWaiting), slow.Load())
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
	})
}

// While the hash semaphore is full, a wrong password is refused and not counted, but a cached one is accepted. So the
// number of comparisons with a cached password is limited.
func TestFullHashSemaphoreIsNoOracle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
		var all sync.WaitGroup
		for i := range 1 + secrets.MaxWaiting {
			all.Go(func() {
				require.Equal(t, transport.ErrWrongCredentials, d.login(fmt.Sprintf("10.0.0.%d", i), "bob", "wrong"))
			})
		}
		synctest.Wait()
		require.NoError(t, d.login("192.0.2.2", "ann", "correct horse"), "a cached password needs no hash")
		for i := range secrets.MaxMisses - 1 {
			slowed(t, d.login("192.0.2.2", "ann", "wrong "+strconv.Itoa(i)))
		}
		require.NoError(t, d.login("192.0.2.2", "ann", "correct horse"), "fewer misses than the limit change nothing")
		slowed(t, d.login("192.0.2.2", "ann", "wrong"))
		slowed(t, d.login("192.0.2.2", "ann", "correct horse"))
		slowed(t, d.login("192.0.2.1", "ann", "correct horse"))
		all.Wait()
		require.NoError(t, d.login("192.0.2.2", "ann", "correct horse"), "by its hash")
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
	})
}

func TestWaitingClaimEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "ann", "wrong "+strconv.Itoa(i)))
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errors.New("cancelled"))
		defer cancel()
		start := time.Now()
		_, err := d.Authenticate(ctx, transport.Claim{User: "ann", Password: "correct horse", From: from("192.0.2.1")})
		require.EqualError(t, err, "cancelled")
		require.Equal(t, 10*time.Millisecond, time.Since(start))
		all.Wait()
		time.Sleep(2 * time.Minute)
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
	})
}

func TestPasswordCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		d := newLoginClient(t)
		var text strings.Builder
		for i := range secrets.MaxCached + 10 {
			fmt.Fprintf(&text, "user-%d monitor $argon2id$v=19$m=8,t=1,p=1$%s\n", i, strings.SplitN(read(t, d.users), "$", 5)[4])
		}
		write(t, d.users, strings.ReplaceAll(text.String(), "\n\n", "\n"))
		time.Sleep(time.Second)
		for i := range secrets.MaxCached + 10 {
			require.NoError(t, d.login("192.0.2.1", "user-"+strconv.Itoa(i), "correct horse"))
		}
		_, cached := d.Remembered()
		require.Equal(t, secrets.MaxCached, cached)
		time.Sleep(time.Minute)
		require.NoError(t, d.login("192.0.2.1", "user-0", "correct horse"))
		_, cached = d.Remembered()
		require.LessOrEqual(t, cached, secrets.MaxCached)
	})
}

// With real hashes: many guesses cost little memory, and a right password is accepted meanwhile.
func TestManyGuessesCostLittleMemory(t *testing.T) {
	if raced {
		t.Skip("the race detector uses memory too")
	}
	d := newLoginClient(t)
	for _, addresses := range []int{1, 1000} {
		before := resident(t)
		var all sync.WaitGroup
		for i := range 1000 {
			address := fmt.Sprintf("10.0.%d.%d", i%addresses/256, i%addresses%256)
			all.Go(func() { _ = d.login(address, "ann", "wrong "+strconv.Itoa(i)) })
		}
		if addresses == 1 {
			// TestConcurrentGuessesAreBounded limits how long this takes, in virtual time.
			require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
		}
		all.Wait()
		grown := peakResident(t) - before
		t.Logf("guessing from %d addresses, the process grew by %d MiB", addresses, grown>>20)
		require.Less(t, grown, int64(64<<20))
	}
}

// resident returns the resident memory of the process in bytes, and resets the peak that peakResident returns.
func resident(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Skip("this system does not report the peak memory of a process: ", err)
	}
	return peakResident(t)
}

func peakResident(t *testing.T) int64 {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "/proc/self/status"), "VmHWM:")
	require.True(t, ok)
	n, err := strconv.ParseInt(strings.Fields(text)[0], 10, 64)
	require.NoError(t, err)
	return n << 10
}
