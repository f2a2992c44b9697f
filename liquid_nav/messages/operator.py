"""The channel `operator` as ``std_msgs/Bool``, in recordings only: in flight it is a service."""

from typing import Any

from liquid_nav.events import Channel, OperatorStop
from liquid_nav.messages.fields import Fields
from liquid_nav.messages.plug import SensorSetup, WritableMessage


class OperatorStopMessage(WritableMessage):
    """True stops the vehicle, False gives control back to the policy; there is no stamp."""

    channel = Channel.OPERATOR
    type = "std_msgs/msg/Bool"
    topic = "/liquid_nav/operator_stop"

    def decode(self, message: Any, arrival: int, setup: SensorSetup) -> OperatorStop:
        """Make an event of a message, stamped at its arrival."""
        return OperatorStop(arrival, arrival, bool(message.data))

    def encode(self, event: OperatorStop) -> Fields:
        """Give the fields."""
        return {"data": event.engaged}
