package websocket

import (
	"bufio"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestReadLockTransitions walks the table of readLock. TestMessagesOfAllFormsArriveInOrder does so on a conn.
func TestReadLockTransitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newReadLock(bufio.NewReader(strings.NewReader("")))
		defer l.end()
		require.False(t, l.tryLock(), "the reader has the lock at first")
		require.True(t, l.waitForReader())
		l.receiveWaits.Store(false)

		l.unlock() // reader to free
		require.False(t, l.waitForReader(), "the lock is free")
		require.True(t, l.tryLock()) // free to Receive
		require.False(t, l.tryLock())
		l.unlock() // Receive to free

		time.Sleep(3 * maxIdleRead)
		synctest.Wait()
		require.Len(t, l.readerWanted, 1, "free to reader: no Receive has run for maxIdleRead")
		<-l.readerWanted

		require.True(t, l.tryLock())
		l.unlock()
		time.Sleep(maxIdleRead + time.Millisecond)
		synctest.Wait()
		require.Empty(t, l.readerWanted, "a Receive has run since the timer was set")
		require.True(t, l.tryLock())
		time.Sleep(3 * maxIdleRead)
		synctest.Wait()
		require.Empty(t, l.readerWanted, "the lock is held")
	})
}
