package delivery_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/matric/matric-events/app/delivery"
)

// Hanging endpoints, however many, cost an endpoint that is well nothing: in virtual time exactly nothing.
func TestHangingEndpointsDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{MaxInFlight: 40, PerEndpoint: 8})
		for i := range 9 { // as many as the last quarter of places has room for, but one
			name := fmt.Sprintf("hangs%d", i)
			h.sender.plays(name, script{hangs: true})
			h.create(name, "")
		}
		well := h.create("well", "")
		for second := range 60 {
			h.publish(5)
			h.expect("at once", well, 0, 0, 5*(second+1), 0)
			time.Sleep(time.Second)
		}
		for i := range 9 {
			if n := h.sender.atOnce(fmt.Sprintf("hangs%d", i)); n < 1 || n > 8 {
				t.Errorf("%d attempts at once", n)
			}
		}
		if s := h.dispatcher.Stats(); s.Failing != 9 || s.Sending != 9 || s.Pending == 0 {
			t.Errorf("%+v; want one attempt at each of the endpoints that hang", s)
		}
	})
}

// Once it is known that they hang, any number of endpoints leaves places to the others.
func TestMoreEndpointsHangThanThereArePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{MaxInFlight: 8, PerEndpoint: 4})
		for i := range 50 {
			name := fmt.Sprintf("hangs%d", i)
			h.sender.plays(name, script{hangs: true})
			h.create(name, "")
		}
		h.publish(1)
		time.Sleep(50 * sendTimeout)
		well := h.create("well", "")
		for second := range 100 {
			h.publish(1)
			h.expect("at once", well, 0, 0, second+1, 0)
			time.Sleep(time.Second)
		}
	})
}

func TestPlacesPerEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{MaxInFlight: 100, PerEndpoint: 4})
		h.sender.plays("slow", script{takes: time.Second})
		id := h.create("slow", "")
		h.publish(40)
		h.expect("twice the places are in flight", id, 32, 8, 0, 0)
		time.Sleep(10*time.Second + 1)
		h.expect("four each second", id, 0, 0, 40, 0)
		if n := h.sender.atOnce("slow"); n != 4 {
			t.Errorf("%d at once", n)
		}
		for i, a := range h.sender.to("slow")[4:] { // in the order of publication, give or take what is under way at once
			if before := h.sender.to("slow")[i]; string(a.Event[:]) < string(before.Event[:]) {
				t.Errorf("%s was sent after %s", a.Event, before.Event)
			}
		}
	})
}

func TestAFailingEndpointGetsOneAttemptAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, quick)
		h.sender.plays("down", script{status: 500, takes: time.Second})
		id := h.create("down", `,"max_retries":20`)
		h.publish(1)
		time.Sleep(time.Second)
		synctest.Wait()
		h.publish(30)
		time.Sleep(30 * time.Second)
		if n := h.sender.atOnce("down"); n != 1 {
			t.Errorf("%d attempts at once", n)
		}
		h.sender.plays("down", script{takes: time.Second})
		time.Sleep(time.Hour)
		h.expect("recovered", id, 0, 0, 31, 0)
		if n := h.sender.atOnce("down"); n < 2 {
			t.Errorf("%d at once after it has recovered", n)
		}
	})
}

func TestANewEventDoesNotPassOlderOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, delivery.Options{PerEndpoint: 2})
		h.sender.plays("a", script{hangs: true})
		id := h.create("a", "")
		h.publish(1)
		synctest.Wait()
		h.sender.plays("a", script{takes: 2 * time.Second})
		h.publish(5)
		h.expect("full", id, 2, 4, 0, 0)
		time.Sleep(2 * time.Second)
		h.expect("there is one place, but it is not for", id, 2, 3, 1, 0)
		h.publish(1)
		h.expect("the newest", id, 3, 3, 1, 0)
	})
}
