package secrets_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
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

// crowd is the number of concurrent clients with one address, such as behind a proxy.
const crowd = 256

// A right token was refused with SlowDownError when more claims than may fail came from one address at a time.
func TestRightTokensFromOneAddressAreNotSlowedDown(t *testing.T) {
	d := newLoginClient(t)
	var all sync.WaitGroup
	errs := make(chan error, crowd)
	for range crowd {
		all.Go(func() {
			for range 50 {
				if err := d.show("192.0.2.1", d.token); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	addresses, _ := d.Remembered()
	require.Zero(t, addresses, "a right token leaves no record")
}

// The same, while other clients with the address guess: a right token does not wait for their claims.
func TestRightTokensDoNotQueueWithGuessers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		start := time.Now()
		var guessers, all sync.WaitGroup
		for i := range crowd {
			guessers.Go(func() { require.Error(t, d.login("192.0.2.1", "ann", "wrong "+strconv.Itoa(i))) })
		}
		synctest.Wait() // some guesses are hashed, some wait
		for range crowd {
			all.Go(func() { require.NoError(t, d.show("192.0.2.1", d.token)) })
		}
		all.Wait()
		require.Zero(t, time.Since(start))
		guessers.Wait()
		slowed(t, d.login("192.0.2.1", "ann", "wrong"))
		require.NoError(t, d.show("192.0.2.1", d.token), "the pause does not apply to it")
	})
}

// The same with a password: when its cache entry had expired, most claims were refused with SlowDownError, until one of
// them had computed the hash.
func TestRightPasswordFromOneAddressIsNotSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		made.Store(0)
		for i := range 3 {
			start := time.Now()
			var all sync.WaitGroup
			for range crowd {
				all.Go(func() { require.NoError(t, d.login("192.0.2.1", "ann", "correct horse")) })
			}
			all.Wait()
			require.Equal(t, 50*time.Millisecond, time.Since(start))
			require.Equal(t, int64(1+i), made.Load())
			addresses, _ := d.Remembered()
			require.Equal(t, 1, addresses)
			time.Sleep(time.Minute)
		}
	})
}

// Claims with a cached password do not count as claims that are verified.
func TestCachedPasswordsDoNotWaitForHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
		start := time.Now()
		var guesses, all sync.WaitGroup
		for range 4 {
			guesses.Go(func() { require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.1", "bob", "wrong")) })
		}
		synctest.Wait()
		for range crowd {
			all.Go(func() { require.NoError(t, d.login("192.0.2.1", "ann", "correct horse")) })
		}
		all.Wait()
		require.Zero(t, time.Since(start), "one more claim may be verified")
		guesses.Wait()
	})
}

// A guesser at another address than the user's learns nothing from a password that is cached.
func TestVerifiedPasswordIsNoOracleAtAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() {
				require.Equal(t, transport.ErrWrongCredentials, d.login("192.0.2.2", "ann", "wrong "+strconv.Itoa(i)))
			})
		}
		synctest.Wait()
		for i := range crowd / 2 {
			all.Go(func() { slowed(t, d.login("192.0.2.2", "ann", "guess "+strconv.Itoa(i))) })
			all.Go(func() { slowed(t, d.login("192.0.2.2", "ann", "correct horse")) })
		}
		all.Wait()
		slowed(t, d.login("192.0.2.2", "ann", "correct horse"))
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"))
	})
}

// During a pause only a token that cannot be guessed is accepted. A guesser learns nothing about a token that was
// chosen by hand, or has expired.
func TestPauseHidesTokensThatCanBeGuessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "tokens")
		sum := func(token string) string { h := sha256.Sum256([]byte(token)); return hex.EncodeToString(h[:]) }
		random := strings.Repeat("Az-_0", 9)[:43]
		write(t, path, "long monitor never "+sum("rpt_long_"+random)+
			"\nshort monitor never "+sum("rpt_short_"+random[1:])+
			"\nbare monitor never "+sum("rpt_bare")+
			"\nold monitor 1999-01-01T00:00:00Z "+sum("rpt_old_"+random)+"\n")
		a := &secrets.Authenticator{Tokens: openTokens(t, path)}
		show := func(token string) error {
			_, err := a.Authenticate(t.Context(), transport.Claim{Token: token, From: from("192.0.2.1")})
			return err
		}
		for _, test := range []struct {
			token                 string
			right, hides, expired bool
		}{
			{"rpt_long_" + random, true, false, false},
			{"rpt_long_" + random + "x", false, true, false},
			{"rpt_short_" + random[1:], true, true, false},
			{"rpt_bare", true, true, false},
			{"rpt_old_" + random, false, true, true},
			{"rpt_unknown_" + random, false, true, false},
		} {
			if err := show(test.token); test.right {
				require.NoError(t, err, test.token)
			} else {
				require.Equal(t, transport.ErrWrongCredentials, err, test.token)
			}
			like := "rpt_" // another token with the same id, if there is one
			if parts := strings.Split(test.token, "_"); len(parts) > 2 {
				like += parts[1] + "_"
			}
			for i := range 5 {
				_ = show(like + "wrong" + strconv.Itoa(i))
			}
			if test.right && test.hides { // it was verified at this address, so it is accepted in a pause, until four wrong ones
				require.NoError(t, show(test.token))
				for i := range 4 {
					slowed(t, show(like+"more"+strconv.Itoa(i)))
				}
			}
			switch err := show(test.token); {
			case !test.hides:
				require.NoError(t, err, test.token)
			case test.expired || test.right:
				slowed(t, err)
			default:
				require.Equal(t, transport.ErrWrongCredentials, err, "the client got that answer before")
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// Many wrong tokens are counted like wrong passwords. They cost no hash, and leave one address record.
func TestManyWrongTokensPauseTheirAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 50*time.Millisecond)
		d := newLoginClient(t)
		made.Store(0)
		start := time.Now()
		var wrong, slow atomic.Int64
		var all sync.WaitGroup
		for i := range 1000 {
			all.Go(func() {
				err := d.show("192.0.2.1", "rpt_ci_wrong"+strconv.Itoa(i))
				if errors.Is(err, transport.ErrWrongCredentials) {
					wrong.Add(1)
				} else {
					require.Equal(t, time.Second, slowed(t, err))
					slow.Add(1)
				}
			})
		}
		all.Wait()
		require.Equal(t, []int64{5, 995, 0}, []int64{wrong.Load(), slow.Load(), made.Load()})
		require.Zero(t, time.Since(start))
		addresses, _ := d.Remembered()
		require.Equal(t, 1, addresses)
		require.NoError(t, d.login("192.0.2.1", "ann", "correct horse"), "the pause does not apply to another name")
	})
}
