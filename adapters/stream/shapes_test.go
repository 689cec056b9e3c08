package stream

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// clientTests are about what clients can see, which is the same whatever way they come in.
var clientTests = []func(*testing.T){
	TestWebSocketGetsEverythingFromNowOn, TestWebSocketFirstFrameFollowsTheTypesFilter, TestFilters,
	TestRefreshGoesToTheAskerAlone, TestPingEchoesTheID, TestSubscribe, TestSubscribeReplaysThenGoesOn,
	TestResumeOnConnect, TestResumeThatCannotBe, TestResyncOnAnEmptyLogNamesNoOldestEvent, TestUnsubscribe,
	TestBadCommands, TestAnInvalidFilterLeavesTheOldOne, TestPlainTextIsIgnored,
	TestFragmentedCommandWithAPingInBetween, TestConnectionsDescribeThemselves, TestASnapshotThatHangsIsNotWaitedFor,
	TestProtocolPingIsAnswered, TestCloseHandshake, TestViolationsCloseWithTheirCode, TestTheLongestMessage,
	TestHeartbeat, TestPongsKeepAConnection, TestIdleTimeout, TestKick, TestPeerThatVanishes, TestDrain,
	TestDrainDeliversWhatIsQueued, TestRunEndsWithConnectionsInEveryState, TestStopWhileClientsConnect,
	TestALaggingClientIsDisconnected, TestALaggingClientThatGotNothingYet, TestALaggingClientThatSkips,
	TestALaggingLegacyClientThatSkipsIsToldNothing, TestALaggingEventStream, TestASlowClientCostsOthersNothing,
	TestAWriteThatStallsEndsTheConnection, TestAFloodOfPingsIsBounded, TestAskersWhoReadLittle, TestEventStreamBytes,
	TestEventStreamOverHTTP10IsNotChunked, TestEventStreamFirstBytesAtOnce, TestEventStreamDottedNames,
	TestEventStreamHead, TestEventStreamKeepsTheHeadersOfOthers, TestEventStreamResumes, TestEventStreamResyncs,
	TestEventStreamKeepsAlive, TestEventStreamWhoseClientGoesAway, TestEventStreamDescribesItself,
	TestEventStreamAtTheEndOfTheServer, TestHandshake, TestUnknownTypesNameTheValidOnes,
	TestFramePipelinedBehindTheHandshake, TestAtTheLimit, TestAHandshakeThatFailsLateLeavesNothing,
	TestHandshakeWithoutASocket, TestAnEventInTheMiddleOfASweep, TestAnEventRightAfterTheHandshake,
	TestAConnectionAfterItsLoopHasStopped, TestDeadlinesAreClearedAfterAWrite,
}

// TestOnGoroutines has all of it hold for connections with goroutines of their own, too: those on TLS, and all of them on
// systems without a poller. newRig knows by the name of the test.
func TestOnGoroutines(t *testing.T) { runClientTests(t) }

// TestBehindServer has all of it hold for connections that come by way of the HTTP server.
func TestBehindServer(t *testing.T) { runClientTests(t) }

func runClientTests(t *testing.T) {
	for _, test := range clientTests {
		name := runtime.FuncForPC(reflect.ValueOf(test).Pointer()).Name()
		t.Run(name[strings.LastIndexByte(name, '.')+len(".Test"):], test)
	}
}

func onGoroutines(t testing.TB) bool { return strings.HasPrefix(t.Name(), "TestOnGoroutines/") }
func behindServer(t testing.TB) bool { return strings.HasPrefix(t.Name(), "TestBehindServer/") }
