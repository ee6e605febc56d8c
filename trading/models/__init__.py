from trading.models.executions import Fill
from trading.models.halts import TradingHalt
from trading.models.orders import Order, OrderEvent, Submission, SubmissionAction
from trading.models.paper import PaperFill, PaperOrder

__all__ = [
    "Fill",
    "Order",
    "OrderEvent",
    "PaperFill",
    "PaperOrder",
    "Submission",
    "SubmissionAction",
    "TradingHalt",
]
