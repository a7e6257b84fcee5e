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

// crowd is how many come from one address at a time, by way of a proxy.
const crowd = 256

// A right token was told to slow down when more of them came from one address at a time than may be wrong.
func TestRightTokensFromOneAddressAreNotSlowedDown(t *testing.T) {
	d := newDesk(t)
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
	require.Zero(t, addresses, "a right token leaves nothing behind")
}

// The same, while others guess there: those who have the token wait for nobody.
func TestRightTokensDoNotQueueWithGuessers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newDesk(t)
		start := time.Now()
		var guessers, all sync.WaitGroup
		for i := range crowd {
			guessers.Go(func() { require.Error(t, d.login("192.0.2.1", "ann", "wrong "+strconv.Itoa(i))) })
		}
		synctest.Wait() // some at their hashes, some in the queue
		for range crowd {
			all.Go(func() { require.NoError(t, d.show("192.0.2.1", d.token)) })
		}
		all.Wait()
		require.Zero(t, time.Since(start))
		guessers.Wait()
		slowed(t, d.login("192.0.2.1", "ann", "wrong"))
		require.NoError(t, d.show("192.0.2.1", d.token), "nor is the pause theirs")
	})
}

// The same with a password: when its minute was over, all but a few were told to slow down, until one of
// them had made a hash.
func TestARightPasswordFromOneAddressIsNotSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 50*time.Millisecond)
		d := newDesk(t)
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

// Those who are remembered take no place from those who are not.
func TestRememberedPasswordsPassThoseThatAreHashed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newDesk(t)
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
		require.Zero(t, time.Since(start), "one more may be wrong, so it may be looked at")
		guesses.Wait()
	})
}

// A guesser at another address than the user's learns nothing from a password that was verified a moment ago.
func TestVerifiedPasswordIsNoOracleAtAnotherAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secrets.FakeHashes(t, 50*time.Millisecond)
		d := newDesk(t)
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

// What passes a pause is what cannot be guessed: the line of a token that somebody has thought of, or of
// one that has expired, tells a guesser nothing.
func TestAPauseHidesTokensThatCanBeGuessed(t *testing.T) {
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
			{"rpt_nobody_" + random, false, true, false},
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
			if test.right && test.hides { // it was verified here, so it may be shown in a pause; four wrong ones end that
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
				require.Equal(t, transport.ErrWrongCredentials, err, "the client was told that before")
			}
			time.Sleep(2 * time.Hour)
		}
	})
}

// A flood of wrong tokens is counted as one of wrong passwords is, costs no hash, and leaves one source.
func TestAFloodOfWrongTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made, _ := secrets.FakeHashes(t, 50*time.Millisecond)
		d := newDesk(t)
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
