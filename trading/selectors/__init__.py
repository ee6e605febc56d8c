"""What is read: `orders` for their owner, `facts` for the risk checks, `watch` for staff."""
