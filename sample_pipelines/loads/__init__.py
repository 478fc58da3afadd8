"""What the pipelines of this workspace call. `callable: loads.orders:load` is `load` in loads/orders.py."""
