package secrets_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rudderpost/rudderpost/access/secrets"
	"github.com/rudderpost/rudderpost/transport"

	"github.com/stretchr/testify/require"
)

// newUsers returns an Authenticator with users that all have the password "correct horse".
func newUsers(t *testing.T, names ...string) *loginClient {
	t.Helper()
	d := &loginClient{t: t, users: filepath.Join(t.TempDir(), "users")}
	d.Authenticator = &secrets.Authenticator{Users: openUsers(t, d.users)}
	for _, name := range names {
		require.NoError(t, d.Users.Add(name, "monitor", "correct horse"))
	}
	return d
}

// everySecond calls f once a second of virtual time.
func everySecond(times int, f func(i int)) {
	for i := range times {
		f(i)
		time.Sleep(time.Second)
	}
}

// One client repeats an old password every 5 s. All other users of its address, and the right clients of the
// same user, must get in. (Before: 117 of 120 right logins were refused.)
func TestClientWithStalePasswordDoesNotLockOutItsAddress(t *testing.T) {
	for _, stale := range []string{"stork", "exporter", "unknown"} {
		synctest.Test(t, func(t *testing.T) {
			secrets.FakeHashes(t, 20*time.Millisecond)
			d := newUsers(t, "stork", "exporter")
			everySecond(600, func(i int) {
				if i%5 == 0 {
					require.Equal(t, transport.ErrWrongCredentials, d.login("127.0.0.1", stale, "old password"), "the client learns the cause")
					require.NoError(t, d.login("127.0.0.1", "stork", "correct horse"), "second %d", i)
					require.NoError(t, d.login("127.0.0.1", "exporter", "correct horse"), "second %d", i)
				}
			})
		})
	}
}

// The same holds for a client that repeats a revoked token.
func TestClientWithStaleTokenDoesNotLockOutItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 20*time.Millisecond)
		d := newLoginClient(t)
		everySecond(600, func(i int) {
			if i%5 == 0 {
				require.Equal(t, transport.ErrWrongCredentials, d.show("127.0.0.1", "rpt_old_"+strings.Repeat("x", 43)))
				require.NoError(t, d.login("127.0.0.1", "ann", "correct horse"), "second %d", i)
			}
		})
	})
}

// A guesser that tries another password each second delays the name that it guesses, and no other name.
func TestGuesserDoesNotLockOutOtherUsersOfItsAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 20*time.Millisecond)
		d := newUsers(t, "ann", "bob", "cleo")
		everySecond(600, func(i int) {
			_ = d.login("127.0.0.1", "ann", fmt.Sprint("guess ", i))
			require.NoError(t, d.login("127.0.0.1", "bob", "correct horse"), "second %d", i)
			if i >= 300 { // cleo logs in after the address was paused for minutes, and mistypes her password once
				if i == 300 {
					require.Equal(t, transport.ErrWrongCredentials, d.login("127.0.0.1", "cleo", "correct house"))
				}
				require.NoError(t, d.login("127.0.0.1", "cleo", "correct horse"), "second %d", i)
			}
		})
	})
}

// A recently verified password passes a pause of its own name, until four wrong secrets were compared with it.
func TestVerifiedPasswordPassesAPauseOfItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 20*time.Millisecond)
		d := newUsers(t, "ann")
		require.NoError(t, d.login("127.0.0.1", "ann", "correct horse"))
		time.Sleep(50 * time.Minute) // the hash is not cached any more
		require.NoError(t, d.login("127.0.0.1", "ann", "correct horse"))
		time.Sleep(50 * time.Minute)
		pause(t, d, "127.0.0.1", "ann")
		before := made.Load()
		for i := range 3 {
			slowed(t, d.login("127.0.0.1", "ann", fmt.Sprint("compared ", i)))
			require.NoError(t, d.login("127.0.0.1", "ann", "correct horse"))
		}
		require.Equal(t, before, made.Load(), "nothing was hashed")
		slowed(t, d.login("127.0.0.1", "ann", "compared 3"))
		slowed(t, d.login("127.0.0.1", "ann", "correct horse"))
	})
}

// pause makes a guesser fail until its address is paused for a minute.
func pause(t *testing.T, d *loginClient, ip, name string) {
	t.Helper()
	for i := range 11 {
		if i >= 5 {
			time.Sleep(time.Second << (i - 5))
		}
		require.Equal(t, transport.ErrWrongCredentials, d.login(ip, name, fmt.Sprint("pause ", i)))
	}
}

// The number of guesses that a guesser can make in an hour. A guess counts if the answer to a right password would
// have been another one, so a comparison with a verified password during a pause counts too. (Before, with the same
// strategies: 69, 69, 240, 224, 99, 69 and 69 guesses.)
func TestGuessesPerHour(t *testing.T) {
	names := make([]string, 100)
	for i := range names {
		names[i] = fmt.Sprint("user-", i)
	}
	for _, test := range []struct {
		strategy string
		verified int // users that log in from the same address, with the right password
		guesses  func(int) (name string, wait time.Duration)
		limit    int
	}{
		{"one name, as fast as possible", 0, func(i int) (string, time.Duration) { return names[0], 900 * time.Millisecond }, 72},
		{"many names, as fast as possible", 0, func(i int) (string, time.Duration) { return names[i%100], 900 * time.Millisecond }, 81},
		{"one name, slowly enough for no pause under the rules before", 0, func(i int) (string, time.Duration) { return names[0], 15 * time.Second }, 72},
		{"one name, eight guesses and then a minute of silence", 0, burst(names, 8, time.Minute), 120},
		{"one name, eleven guesses and then five minutes of silence", 0, burst(names, 11, 5*time.Minute), 125},
		{"one name that is verified at the address, as fast as possible", 1, func(i int) (string, time.Duration) { return names[0], 900 * time.Millisecond }, 76},
		{"many names, eight of them verified at the address", 8, func(i int) (string, time.Duration) { return names[i%100], 900 * time.Millisecond }, 137},
	} {
		synctest.Test(t, func(t *testing.T) {
			secrets.FakeHashes(t, 0)
			d := newUsers(t, names[:max(test.verified, 1)]...)
			end, seen := time.Now().Add(time.Hour), time.Now()
			login := func() {
				for _, name := range names[:test.verified] {
					_ = d.login("192.0.2.1", name, "correct horse")
				}
			}
			login()
			guesses := 0
			for i := 0; time.Now().Before(end); i++ {
				name, wait := test.guesses(i)
				misses := d.Misses()
				for { // the strategy is the same with and without pauses
					err := d.login("192.0.2.1", name, fmt.Sprint("guess ", i))
					if errors.Is(err, transport.ErrWrongCredentials) || d.Misses() > misses {
						guesses++
					}
					if wait < time.Second || errors.Is(err, transport.ErrWrongCredentials) {
						break
					}
					time.Sleep(slowed(t, err))
				}
				time.Sleep(wait)
				if time.Since(seen) >= 10*time.Second { // the users log in again and again
					login()
					seen = time.Now()
				}
			}
			t.Logf("%s: %d guesses in an hour", test.strategy, guesses)
			require.LessOrEqual(t, guesses, test.limit, test.strategy)
		})
	}
}

// burst makes a few guesses as fast as the pauses allow, and then pauses.
func burst(names []string, guesses int, silence time.Duration) func(int) (string, time.Duration) {
	return func(i int) (string, time.Duration) {
		if (i+1)%guesses == 0 {
			return names[0], silence + time.Minute // after the last pause
		}
		return names[0], time.Second
	}
}

// When four names have failed, the pause of the address applies to every name without a recent success.
func TestManyNamesPauseTheirAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		d := newUsers(t, "ann", "bob")
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
		for i := range 5 {
			require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", fmt.Sprint("name-", i%4), fmt.Sprint("guess ", i)))
		}
		slowed(t, d.login("192.0.2.1", "name-5", "guess"))
		slowed(t, d.login("192.0.2.1", "bob", "correct horse"))
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"), "ann was verified here")
		require.NoError(t, d.login("192.0.2.2", "bob", "correct horse"), "another address")
		time.Sleep(time.Second)
		require.NoError(t, d.login("192.0.2.1", "bob", "correct horse"))
	})
}

// A claim that a pause does not apply to lengthens the pause for the others, if it fails.
func TestFailureDuringAPauseStartsTheNextPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		d := newUsers(t, "ann")
		for i := range 5 {
			require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "ann", fmt.Sprint("guess ", i)))
		}
		require.Equal(t, time.Second, slowed(t, d.login("192.0.2.1", "ann", "guess")))
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "bob", "guess"))
		require.Equal(t, 2*time.Second, slowed(t, d.login("192.0.2.1", "ann", "guess")))
		time.Sleep(time.Second)
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "bob", "guess 2"))
		require.Equal(t, 4*time.Second, slowed(t, d.login("192.0.2.1", "ann", "guess")))
	})
}

// The user's own successes do not help a guesser at the same address.
func TestSuccessDoesNotResetTheCountOfAGuesser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		d := newUsers(t, "ann", "mallory")
		guesses := 0
		for i := range 3600 {
			if errors.Is(d.login("192.0.2.1", "ann", fmt.Sprint("guess ", i)), transport.ErrWrongCredentials) {
				guesses++
			}
			_ = d.login("192.0.2.1", "ann", "correct horse")
			require.NoError(t, d.login("192.0.2.1", "mallory", "correct horse"))
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, guesses, 72)
	})
}

// A secret that is known to be wrong may become right.
func TestPasswordThatWasWrongIsAcceptedWhenItBecomesRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		d := newLoginClient(t)
		for range 3 {
			require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "ann", "battery staple"))
			require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "bob", "battery staple"))
		}
		require.NoError(t, d.Users.SetPassword("ann", "battery staple"))
		require.NoError(t, d.login("192.0.2.1", "ann", "battery staple"))
		require.NoError(t, d.Users.Add("bob", "monitor", "battery staple"))
		require.NoError(t, d.login("192.0.2.1", "bob", "battery staple"))
		require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "ann", "correct horse"), "the old password is wrong")
	})
}

func TestAddressRecordIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 0)
		names := make([]string, 40)
		for i := range names {
			names[i] = fmt.Sprint("user-", i)
		}
		d := newUsers(t, names...)
		for i := range 600 {
			_ = d.login("192.0.2.1", names[i%40], "correct horse")
			_ = d.login("192.0.2.1", names[(i*7)%40], fmt.Sprint("guess ", i))
			_ = d.login("192.0.2.1", fmt.Sprint("unknown-", i), "guess")
			known, wrong := d.RecordSize("192.0.2.1")
			require.LessOrEqual(t, known, 12)
			require.LessOrEqual(t, wrong, 16)
			time.Sleep(17 * time.Second)
		}
		time.Sleep(2 * time.Hour)
		require.NoError(t, d.login("192.0.2.1", names[0], "correct horse"))
		known, wrong := d.RecordSize("192.0.2.1")
		require.Equal(t, []int{1, 0}, []int{known, wrong}, "the rest was forgotten after an hour")
	})
}
