package api

import (
	"fmt"
	"testing"
	"time"
)

func TestOrdersOfManyUsersAreBounded(t *testing.T) {
	o := newOrders(time.Now)
	for i := range maxUsers + 50 {
		o.list(fmt.Sprint(i))
	}
	if len(o.of) != maxUsers || len(o.users) != maxUsers {
		t.Errorf("%d users with orders, %d remembered; want %d", len(o.of), len(o.users), maxUsers)
	}
	if _, kept := o.of["0"]; kept {
		t.Error("the user seen first is still there")
	}
	if _, kept := o.of[fmt.Sprint(maxUsers+49)]; !kept {
		t.Error("the user seen last is gone")
	}
}

func TestListedOrdersAreACopy(t *testing.T) {
	o := newOrders(time.Now)
	o.list("alice")[0].Status = "changed"
	if got := o.list("alice")[0].Status; got == "changed" {
		t.Error("a caller can change what is stored")
	}
}
