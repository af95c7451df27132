//! Fees: maker and taker rates, taken in the quote, the base, the received or a third asset.

use domain::{Currency, Decimal, Instrument, Liquidity, Money, Price, Quantity, SCALE, Side};

/// Ten-thousandths in one.
const BPS: i128 = 10_000;

/// The asset in which a venue takes its fee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeeAsset {
    /// The quote currency of the instrument.
    Quote,
    /// The base currency of the instrument.
    Base,
    /// What the trade brings in: base for a buy, quote for a sell.
    Received,
    /// Another asset, at a fixed price.
    Third {
        /// The asset.
        currency: Currency,
        /// Quote currency for one unit of it; positive.
        price: Price,
    },
}

/// What a venue takes for a fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeSchedule {
    /// Rate for resting orders, in ten-thousandths.
    pub maker_bps: Decimal,
    /// Rate for orders that take, in ten-thousandths.
    pub taker_bps: Decimal,
    /// The asset it is taken in.
    pub asset: FeeAsset,
}

impl FeeSchedule {
    /// No fee.
    pub const FREE: Self = Self {
        maker_bps: Decimal::ZERO,
        taker_bps: Decimal::ZERO,
        asset: FeeAsset::Quote,
    };

    /// The fee of one fill, rounded up to 1e-8 of the asset it is taken in.
    ///
    /// A negative rate (a rebate) gives a negative fee, rounded toward the venue as well.
    #[must_use]
    pub fn fee(
        &self,
        instrument: &Instrument,
        side: Side,
        price: Price,
        quantity: Quantity,
        liquidity: Liquidity,
    ) -> Money {
        let rate = match liquidity {
            Liquidity::Maker => self.maker_bps,
            Liquidity::Taker => self.taker_bps,
        };
        // Both in units of 1e-16: the value in quote currency, and the quantity in base.
        let value = i128::from(price.units()) * i128::from(quantity.units());
        let base = i128::from(quantity.units()) * i128::from(SCALE);
        let (amount, currency) = match (self.asset, side) {
            (FeeAsset::Quote, _) | (FeeAsset::Received, Side::Sell) => (value, instrument.quote),
            (FeeAsset::Base, _) | (FeeAsset::Received, Side::Buy) => (base, instrument.base),
            (FeeAsset::Third { currency, price }, _) => {
                let worth = value.saturating_mul(i128::from(SCALE));
                (divide_up(worth, i128::from(price.units().max(1))), currency)
            }
        };
        let exact = amount.saturating_mul(i128::from(rate.units()));
        // Straight to whole units of 1e-8, so that there is one rounding only.
        let units = divide_up(exact, BPS * i128::from(SCALE) * i128::from(SCALE));
        Money::from_units(units * i128::from(SCALE), currency)
    }
}

/// Division rounded toward positive infinity; `divisor` is positive.
fn divide_up(value: i128, divisor: i128) -> i128 {
    value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{instrument, price, quantity};

    fn schedule(asset: FeeAsset) -> FeeSchedule {
        FeeSchedule {
            maker_bps: Decimal::parse(b"2").unwrap(),
            taker_bps: Decimal::parse(b"7.5").unwrap(),
            asset,
        }
    }

    fn fee(asset: FeeAsset, side: Side, liquidity: Liquidity) -> String {
        schedule(asset)
            .fee(&instrument(), side, price("40000"), quantity("0.5"), liquidity)
            .to_string()
    }

    #[test]
    fn each_asset_has_its_amount() {
        let bnb = Currency::new("BNB").unwrap();
        let third = FeeAsset::Third {
            currency: bnb,
            price: price("400"),
        };
        assert_eq!(fee(FeeAsset::Quote, Side::Buy, Liquidity::Taker), "15 USDT");
        assert_eq!(fee(FeeAsset::Quote, Side::Sell, Liquidity::Maker), "4 USDT");
        assert_eq!(fee(FeeAsset::Base, Side::Sell, Liquidity::Taker), "0.000375 BTC");
        assert_eq!(fee(FeeAsset::Received, Side::Buy, Liquidity::Maker), "0.0001 BTC");
        assert_eq!(fee(FeeAsset::Received, Side::Sell, Liquidity::Maker), "4 USDT");
        assert_eq!(fee(third, Side::Buy, Liquidity::Taker), "0.0375 BNB");
    }

    #[test]
    fn a_fraction_of_a_unit_is_rounded_up() {
        let fee = schedule(FeeAsset::Quote).fee(
            &instrument(),
            Side::Buy,
            price("0.00000001"),
            quantity("0.00000001"),
            Liquidity::Taker,
        );
        assert_eq!(fee.to_string(), "0.00000001 USDT");
    }
}
