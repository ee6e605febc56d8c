from trading.models.executions import Fill
from trading.models.halts import SendTally, TradingHalt
from trading.models.links import BrokerLink, Difference, DifferenceSighting
from trading.models.orders import Order, OrderEvent, Submission, SubmissionAction
from trading.models.paper import PaperFill, PaperOrder
from trading.models.parked import ParkedTask

__all__ = [
    "BrokerLink",
    "Difference",
    "DifferenceSighting",
    "Fill",
    "Order",
    "OrderEvent",
    "PaperFill",
    "PaperOrder",
    "ParkedTask",
    "SendTally",
    "Submission",
    "SubmissionAction",
    "TradingHalt",
]
