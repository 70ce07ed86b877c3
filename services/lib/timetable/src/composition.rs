use domain::SeatClass;

/// The carriages of a train in order. Many trains share one composition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composition {
    /// Its name in the files, such as `CR400BF 8-car series`.
    pub name: Box<str>,
    /// What is sold, in the order of the train. A carriage with two classes stands here twice, once for each.
    pub carriages: Box<[Carriage]>,
}

/// One carriage, or the part of one that belongs to one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carriage {
    /// The number painted on it.
    pub number: u8,
    /// The class of its places.
    pub class: SeatClass,
    /// How a row or one side of a bay is laid out: letters, with a bar for the aisle. `ABC|DF`, `AC|F`, `LMU`.
    pub layout: Box<str>,
    /// How many places it has; the last row may be short.
    pub places: u16,
    /// How many standing tickets it adds on every segment, once the seats of its class are gone.
    pub standing: u16,
}

impl Composition {
    /// The classes sold, without repetition, in order of their codes.
    pub fn classes(&self) -> impl Iterator<Item = SeatClass> {
        SeatClass::ALL.into_iter().filter(|class| self.carriages.iter().any(|carriage| carriage.class == *class))
    }

    /// How many places the class has in all carriages.
    pub fn places(&self, class: SeatClass) -> u32 {
        self.of_class(class).map(|carriage| u32::from(carriage.places)).sum()
    }

    /// How many passengers may stand on each segment with a ticket of the class.
    pub fn standing(&self, class: SeatClass) -> u32 {
        self.of_class(class).map(|carriage| u32::from(carriage.standing)).sum()
    }

    fn of_class(&self, class: SeatClass) -> impl Iterator<Item = &Carriage> {
        self.carriages.iter().filter(move |carriage| carriage.class == class)
    }
}

/// The height of a berth, which decides its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BerthLevel {
    /// 下铺: the dearest.
    Lower,
    /// 中铺: hard sleepers only.
    Middle,
    /// 上铺: the cheapest.
    Upper,
}

impl BerthLevel {
    /// The levels of a class, from the floor up; none for seats.
    pub const fn of(class: SeatClass) -> &'static [Self] {
        match class {
            SeatClass::HardSleeper => &[Self::Lower, Self::Middle, Self::Upper],
            SeatClass::SoftSleeper | SeatClass::EmuSleeper => &[Self::Lower, Self::Upper],
            _ => &[],
        }
    }

    /// The level of a berth by its letter in a carriage's layout: L, M or U.
    pub const fn from_letter(letter: char) -> Option<Self> {
        match letter {
            'L' => Some(Self::Lower),
            'M' => Some(Self::Middle),
            'U' => Some(Self::Upper),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carriage_of_two_classes_counts_for_both() {
        let part = |number, class, layout: &str, places, standing| Carriage {
            number,
            class,
            layout: layout.into(),
            places,
            standing,
        };
        let composition = Composition {
            name: "test".into(),
            carriages: [
                part(1, SeatClass::Business, "AC|F", 5, 0),
                part(1, SeatClass::First, "AC|DF", 28, 0),
                part(2, SeatClass::Second, "ABC|DF", 90, 9),
                part(3, SeatClass::Second, "ABC|DF", 75, 7),
            ]
            .into(),
        };
        assert_eq!(
            composition.classes().collect::<Vec<_>>(),
            [SeatClass::Business, SeatClass::First, SeatClass::Second]
        );
        assert_eq!((composition.places(SeatClass::Second), composition.standing(SeatClass::Second)), (165, 16));
        assert_eq!(composition.places(SeatClass::HardSeat), 0);
    }
}
